//! The simulated provider: accepts, declines above an amount or for some users, takes its time, and keeps a ledger in a
//! schema of its own over connections of its own, in transactions that are never the payments service's.

use std::{collections::HashSet, time::Duration};

use proto::UserId;
use runtime::postgres;
use sqlx::{PgConnection, PgPool};

use super::{
    Authorisation, Charge, Provider, ProviderError,
    ledger::{self, Entry},
};

/// How the simulated provider behaves.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Simulated payment provider")]
pub struct SimulatedProviderOptions {
    /// Declines amounts above this many minor units (cents); accepts any amount if not set
    #[arg(long, env = "PROVIDER_DECLINE_ABOVE_MINOR", value_name = "CENTS")]
    pub provider_decline_above_minor: Option<i64>,
    /// Declines these users (ids, separated by commas)
    #[arg(long, env = "PROVIDER_DECLINE_USERS", value_name = "IDS", value_delimiter = ',')]
    pub provider_decline_users: Vec<UserId>,
    /// Lets every call wait this long before it does anything
    #[arg(long, env = "PROVIDER_DELAY_MS", value_name = "MS", default_value_t = 0)]
    pub provider_delay_ms: u64,
    /// Payment links are this, followed by the payment's id
    #[arg(
        long,
        env = "PROVIDER_LINK_PREFIX",
        value_name = "URL",
        default_value = "https://pay.example/"
    )]
    pub provider_link_prefix: String,
}

/// A provider that only keeps a ledger.
#[derive(Debug)]
pub struct SimulatedProvider {
    pool: PgPool,
    decline_above_minor: Option<i64>,
    decline_users: HashSet<UserId>,
    delay: Duration,
    link_prefix: String,
}

impl SimulatedProvider {
    /// A provider that keeps its ledger through `pool`, which is its own.
    #[must_use]
    pub fn new(pool: PgPool, options: &SimulatedProviderOptions) -> Self {
        Self {
            pool,
            decline_above_minor: options.provider_decline_above_minor,
            decline_users: options.provider_decline_users.iter().copied().collect(),
            delay: Duration::from_millis(options.provider_delay_ms),
            link_prefix: options.provider_link_prefix.clone(),
        }
    }

    fn judge(&self, charge: &Charge) -> Entry {
        if self.decline_users.contains(&charge.user_id) {
            return Entry::Declined(String::from("the user's payments are declined"));
        }
        match self.decline_above_minor {
            Some(limit) if charge.amount.amount_minor > limit => {
                Entry::Declined(format!("the amount is above the limit of {limit} minor units"))
            }
            Some(_) | None => Entry::Authorised,
        }
    }

    fn answer(&self, charge: &Charge, entry: Entry) -> Result<Authorisation, ProviderError> {
        match entry {
            Entry::Authorised => Ok(Authorisation::Accepted {
                payment_link: format!("{}{}", self.link_prefix, charge.payment_id),
            }),
            Entry::Declined(reason) => Ok(Authorisation::Refused { reason }),
            Entry::Captured | Entry::Voided => {
                Err(ProviderError::Contradiction(format!("{} is no answer", entry.kind())))
            }
        }
    }

    /// Reads the entries of a payment under its lock, adds what `decide` says, and commits.
    async fn record<T>(
        &self,
        charge: &Charge,
        decide: impl FnOnce(&[Entry]) -> Result<(T, Option<Entry>), String> + Send,
    ) -> Result<T, ProviderError> {
        tokio::time::sleep(self.delay).await;
        let mut transaction = postgres::begin(&self.pool).await.map_err(unavailable)?;
        let entries = lock_entries(&mut transaction, charge).await.map_err(unavailable)?;
        let (answer, entry) = decide(&entries).map_err(ProviderError::Contradiction)?;
        if let Some(entry) = entry {
            append(&mut transaction, charge, &entry).await.map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
        }
        Ok(answer)
    }
}

impl Provider for SimulatedProvider {
    async fn authorise(&self, charge: &Charge) -> Result<Authorisation, ProviderError> {
        let decide = |entries: &[Entry]| Ok(ledger::authorise(entries, || self.judge(charge)));
        let entry = self.record(charge, decide).await?;
        self.answer(charge, entry)
    }

    async fn capture(&self, charge: &Charge) -> Result<(), ProviderError> {
        self.record(charge, |entries| Ok(((), ledger::capture(entries)?))).await
    }

    async fn void(&self, charge: &Charge) -> Result<(), ProviderError> {
        self.record(charge, |entries| Ok(((), ledger::void(entries)?))).await
    }
}

fn unavailable(error: sqlx::Error) -> ProviderError {
    ProviderError::Unavailable(error.into())
}

async fn lock_entries(connection: &mut PgConnection, charge: &Charge) -> sqlx::Result<Vec<Entry>> {
    // There may be no row yet to lock; another id with the same hash only waits for its turn.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('simulated_provider ' || $1, 0))",
        charge.payment_id.to_string(),
    )
    .execute(&mut *connection)
    .await?;
    let rows = sqlx::query!(
        "SELECT kind, reason FROM simulated_provider.ledger WHERE payment_id = $1 ORDER BY entry_id",
        charge.payment_id.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Entry::parse(&row.kind, row.reason)
                .ok_or_else(|| sqlx::Error::Decode(format!("ledger entry {}", row.kind).into()))
        })
        .collect()
}

async fn append(connection: &mut PgConnection, charge: &Charge, entry: &Entry) -> sqlx::Result<()> {
    let reason = match entry {
        Entry::Declined(reason) => Some(reason.as_str()),
        Entry::Authorised | Entry::Captured | Entry::Voided => None,
    };
    sqlx::query!(
        "INSERT INTO simulated_provider.ledger (payment_id, order_id, kind, amount_minor, currency, reason)
         VALUES ($1, $2, $3, $4, $5, $6)",
        charge.payment_id.0,
        charge.order_id.0,
        entry.kind(),
        charge.amount.amount_minor,
        charge.amount.currency.code(),
        reason,
    )
    .execute(connection)
    .await?;
    Ok(())
}
