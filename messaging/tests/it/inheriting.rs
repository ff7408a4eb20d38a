//! An event appended in a handler continues the trace and the saga of the record.

use messaging::{Context, HandleError, Handler, Record, outbox};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use proto::store::orders::events::v1::{OrderCancelled, OrderEvent};
use sqlx::PgConnection;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

use crate::world::{World, until};

struct Announcer(&'static [&'static str]);

impl Handler for Announcer {
    fn topics(&self) -> &'static [&'static str] {
        self.0
    }

    async fn handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> Result<(), HandleError> {
        outbox::append(connection, &record.context(), &event("the-order")).await?;
        Ok(())
    }
}

fn event(order_id: &str) -> OrderEvent {
    OrderCancelled { order_id: order_id.to_owned(), ..OrderCancelled::default() }.into()
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    aggregatetype: String,
    aggregateid: String,
    r#type: String,
    source: String,
    subject: String,
    correlationid: String,
    causationid: Option<String>,
    traceparent: Option<String>,
}

async fn rows(world: &World) -> Vec<Row> {
    let statement = "SELECT id, aggregatetype, aggregateid, type, source, subject, correlationid, causationid, traceparent
                     FROM messaging.outbox ORDER BY sequence";
    sqlx::query_as(statement).fetch_all(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_appended_by_a_handler_continues_the_records_trace_and_saga() {
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let spans = tracing_opentelemetry::layer().with_tracer(tracer);
    let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(spans);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let world = World::new().await;
    let cause = Uuid::now_v7().to_string();
    let (trace_id, span_id) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traceparent = format!("00-{trace_id}-{span_id}-01");
    let headers =
        [("ce_id", &*cause), ("ce_correlationid", "the-saga"), ("traceparent", &traceparent)];
    world.publish_with("key", &headers, b"").await;
    let running = world.start(Announcer(vec![world.topic].leak()));
    until("the event", async || !rows(&world).await.is_empty()).await;
    let row = rows(&world).await.remove(0);
    assert_eq!(row.correlationid, "the-saga");
    assert_eq!(row.causationid.as_deref(), Some(&*cause));
    let inherited = row.traceparent.unwrap();
    assert!(inherited.starts_with(&format!("00-{trace_id}-")), "{inherited}");
    assert!(!inherited.contains(span_id), "the span of the handler is the parent: {inherited}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_where_it_goes_and_what_it_is() {
    let world = World::new().await;
    let mut connection = world.pool.acquire().await.unwrap();
    let id = outbox::append(&mut connection, &Context::start("saga"), &event("17")).await.unwrap();
    let empty = OrderEvent::default();
    outbox::append(&mut connection, &Context::start("saga"), &empty).await.unwrap_err();
    let rows = rows(&world).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].id, id);
    assert_eq!(rows[0].aggregatetype, "store.orders.events.v1");
    assert_eq!(rows[0].aggregateid, "17");
    assert_eq!(rows[0].r#type, "store.orders.events.v1.OrderCancelled");
    assert_eq!(rows[0].source, "store-manager");
    assert_eq!(rows[0].subject, "17");
    assert_eq!(rows[0].causationid, None);
}
