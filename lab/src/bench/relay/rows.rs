//! Fills an outbox with rows as a store would write them: a key of 36 characters with five events each, the full set of
//! headers, and 200 bytes that hardly compress.

use anyhow::Context;
use rand::RngCore;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const PAYLOAD_BYTES: usize = 200;
const NOISE_BYTES: usize = 65_536;

/// Rows to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    /// Where they are to be published.
    pub(super) topic: &'a str,
    pub(super) count: i64,
    pub(super) per_transaction: i64,
}

impl Rows<'_> {
    /// Writes them, without waiting for each transaction to be on disk, but so that they all are in the end.
    pub(super) async fn write(self, connection: &mut PgConnection) -> anyhow::Result<()> {
        prepare(connection).await?;
        connection.execute("SET synchronous_commit = off").await?;
        let (rows, per_transaction) = (self.count, self.per_transaction);
        let insert = self.insert("number", "least(number + (step - 1), total)");
        let block = format!(
            "DO $$
            DECLARE
                total CONSTANT bigint := {rows};
                step CONSTANT bigint := {per_transaction};
                noise CONSTANT bytea := (SELECT bytes || ''::bytea FROM noise);
            BEGIN
                FOR number IN 1..total BY step LOOP
                    {insert};
                    COMMIT;
                END LOOP;
            END $$"
        );
        connection.execute(AssertSqlSafe(block)).await.context("rows cannot be written")?;
        connection.execute("SET synchronous_commit = on").await?;
        Ok(())
    }

    /// Writes them with one statement, in the transaction that `connection` is in.
    pub(super) async fn write_in_one(self, connection: &mut PgConnection) -> anyhow::Result<()> {
        prepare(connection).await?;
        let block = format!(
            "DO $$
            DECLARE
                noise CONSTANT bytea := (SELECT bytes || ''::bytea FROM noise);
            BEGIN
                {};
            END $$",
            self.insert("1", &self.count.to_string())
        );
        connection.execute(AssertSqlSafe(block)).await.context("rows cannot be written")?;
        Ok(())
    }

    fn insert(self, first: &str, last: &str) -> String {
        format!(
            "INSERT INTO messaging.outbox (
                id, aggregatetype, aggregateid, type, source, subject,
                correlationid, causationid, traceparent, payload
            )
            SELECT
                uuidv7(), '{topic}', key, 'store.orders.events.v1.OrderCreated', '/store-manager', key,
                key, uuidv7()::text, '00-' || md5(n::text) || '-00f067aa0ba902b7-01',
                substring(noise FROM (1 + (n * 7919) % {span})::integer FOR {PAYLOAD_BYTES})
            FROM generate_series(({first})::bigint, {last}) AS n
            CROSS JOIN LATERAL (SELECT md5((n / 5)::text)::uuid::text) AS of (key)",
            topic = self.topic,
            span = NOISE_BYTES - PAYLOAD_BYTES,
        )
    }
}

/// Makes what the payloads are cut out of.
async fn prepare(connection: &mut PgConnection) -> anyhow::Result<()> {
    let mut noise = vec![0; NOISE_BYTES];
    rand::rng().fill_bytes(&mut noise);
    connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS noise (bytes bytea)").await?;
    connection.execute("TRUNCATE noise").await?;
    sqlx::query("INSERT INTO noise VALUES ($1)").bind(noise).execute(connection).await?;
    Ok(())
}

/// Opens a connection.
pub(super) async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    PgConnection::connect(url).await.context("the database of the measurement cannot be reached")
}
