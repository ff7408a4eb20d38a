//! A producer and the thread that takes its reports.
//!
//! rdkafka has the like, which asks for them every 100 ms and spins through the last millisecond of each time: that alone costs
//! more processor time than everything else an idle relay does.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, ProducerContext};

/// How long the thread waits for reports before it sees whether it is still wanted. It takes them the moment they come.
const LOOK_UP: Duration = Duration::from_millis(500);

/// A producer that is served until it is dropped, which takes up to half a second.
pub(crate) struct Served<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> Served<C> {
    /// Serves a producer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(producer: BaseProducer<C>) -> io::Result<Self> {
        let (producer, is_over) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let (served, over) = (Arc::clone(&producer), Arc::clone(&is_over));
        let serve = move || {
            while !over.load(Ordering::Relaxed) {
                served.poll(LOOK_UP);
            }
        };
        let thread = thread::Builder::new().name("kafka reports".to_owned()).spawn(serve)?;
        Ok(Self { producer, is_over, thread: Some(thread) })
    }
}

impl<C: ProducerContext + 'static> Deref for Served<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &BaseProducer<C> {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Drop for Served<C> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that takes a producer's reports has panicked");
        }
    }
}
