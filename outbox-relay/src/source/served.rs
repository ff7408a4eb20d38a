//! A producer and its two threads: one takes its reports, the other hurries it.
//!
//! rdkafka has the like of the first, which asks for reports every 100 ms and spins through the last millisecond of each time: that
//! alone costs more processor time than everything else an idle relay does.
//!
//! The second is there because records linger: large batches cost librdkafka, and the broker, much less than small ones. Whoever has
//! nothing to add hurries the producer, and what it was given leaves at once. librdkafka does so while a flush lasts.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, ProducerContext};

use crate::source::native::flush;

/// How long a thread waits before it sees whether it is still wanted. Reports are taken the moment they come.
const LOOK_UP: Duration = Duration::from_millis(500);

/// A producer that is served until it is dropped, which takes up to half a second.
pub(crate) struct Served<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    is_over: Arc<AtomicBool>,
    /// Asks for a flush; `None` once the producer is dropped.
    hurry: Option<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> Served<C> {
    /// Serves a producer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(producer: BaseProducer<C>) -> io::Result<Self> {
        let (hurry, hurried) = sync_channel(1);
        let mut served = Self {
            producer: Arc::new(producer),
            is_over: Arc::default(),
            hurry: Some(hurry),
            threads: Vec::new(),
        };
        let (producer, is_over) = (Arc::clone(&served.producer), Arc::clone(&served.is_over));
        served.spawn("kafka reports", move || take_reports(&producer, &is_over))?;
        let producer = Arc::clone(&served.producer);
        served.spawn("kafka hurry", move || flush_when_asked(&producer, &hurried))?;
        Ok(served)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// Lets what the producer has been given, and whatever it is given until that has arrived, leave at once.
    pub(crate) fn hurry(&self) {
        if let Some(hurry) = &self.hurry {
            // If it is full, a flush is about to begin.
            let _is_asked_already = hurry.try_send(()).is_err();
        }
    }
}

fn take_reports<C: ProducerContext>(producer: &BaseProducer<C>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        producer.poll(LOOK_UP);
    }
}

fn flush_when_asked<C: ProducerContext + 'static>(
    producer: &BaseProducer<C>,
    hurried: &Receiver<()>,
) {
    while hurried.recv().is_ok() {
        // What has not arrived by then has long ceased to linger.
        flush(producer, LOOK_UP);
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
        self.hurry = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that serves a producer has panicked");
            }
        }
    }
}
