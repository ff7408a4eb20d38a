//! The store as `lab up` runs it: stack, databases, topics and the three programs on their usual ports.

use std::path::Path;

use anyhow::Context;

use super::{UpOptions, ports::Ports, steps::step};
use crate::{
    processes::{self, Program, Service, ServiceOptions},
    stack::{Stack, StackError, StackOptions},
};

/// A running store.
pub(super) struct Store {
    // Dropped in this order: the programs before what they need.
    store_manager: Service,
    payments: Service,
    relay: Service,
    stack: Stack,
    brokers: String,
    keeps_data: bool,
}

impl Store {
    /// Builds and starts everything.
    pub(super) async fn start(
        options: &UpOptions,
        ports: &Ports,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let stack_options = StackOptions {
            postgres_settings: Vec::new(),
            directory: options.data.clone(),
            logs: Some(logs.to_owned()),
            durable: true,
            roomy: false,
            postgres_port: ports.postgres,
            kafka_port: ports.kafka,
            postgres: options.postgres.clone(),
            kafka: options.kafka.clone(),
        };
        let binaries = step("building the programs", processes::build()).await?;
        let stack = step(
            "starting PostgreSQL and Kafka (the first time, Maven fetches them)",
            Stack::start(stack_options),
        )
        .await?;
        let store = Self::of_stack(stack, ports, binaries, logs, options).await?;
        step("creating tables, seed data and topics", store.set_up()).await?;
        step("starting store-manager, payments and outbox-relay", store.start_services()).await?;
        Ok(store)
    }

    async fn of_stack(
        stack: Stack,
        ports: &Ports,
        binaries: &Path,
        logs: &Path,
        options: &UpOptions,
    ) -> Result<Self, StackError> {
        let store_manager = stack.ensure_database("store_manager").await?;
        let payments = stack.ensure_database("payments").await?;
        let sources = format!("store_manager={store_manager},payments={payments}");
        let brokers = stack.kafka().await?.brokers().to_owned();
        let service = |program, (variable, value): (&str, String), (grpc, admin)| {
            let mut environment =
                vec![(variable.to_owned(), value), ("KAFKA_BROKERS".to_owned(), brokers.clone())];
            environment.extend(progress_topic(options));
            let (binaries, logs) = (binaries.to_owned(), logs.to_owned());
            Service::on_ports(ServiceOptions { program, binaries, logs, environment }, grpc, admin)
        };
        let [one, two, three] = ports.services;
        Ok(Self {
            store_manager: service(Program::StoreManager, ("DATABASE_URL", store_manager), one),
            payments: service(Program::Payments, ("DATABASE_URL", payments), two),
            relay: service(Program::OutboxRelay, ("RELAY_SOURCES", sources), three),
            stack,
            brokers,
            keeps_data: options.data.is_some(),
        })
    }

    async fn set_up(&self) -> Result<(), StackError> {
        let (one, two, three) =
            (self.store_manager.options(), self.payments.options(), self.relay.options());
        let steps = async |service: &ServiceOptions| {
            service.step("migrate").await?;
            service.step("topics").await
        };
        tokio::try_join!(steps(one), steps(two), three.step("topics"))?;
        Ok(())
    }

    async fn start_services(&self) -> Result<(), StackError> {
        tokio::try_join!(self.store_manager.start(), self.payments.start(), self.relay.start())?;
        Ok(())
    }

    /// Stops everything; what is not kept needs no farewell.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let (one, two, three) =
            tokio::join!(self.relay.stop(), self.payments.stop(), self.store_manager.stop());
        one.and(two).and(three).context("could not stop tidily")?;
        if self.keeps_data {
            self.stack.stop().await?;
        }
        Ok(())
    }

    pub(super) fn services(&self) -> [&Service; 3] {
        [&self.store_manager, &self.payments, &self.relay]
    }

    pub(super) fn store_manager(&self) -> &Service {
        &self.store_manager
    }

    pub(super) fn payments(&self) -> &Service {
        &self.payments
    }

    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }
}

/// Databases that go away must not leave their progress in a Kafka that stays: the next run's would contradict it.
fn progress_topic(options: &UpOptions) -> Option<(String, String)> {
    let passing = options.kafka.is_some() && options.postgres.is_none() && options.data.is_none();
    passing.then(|| {
        let topic = format!("outbox-relay.progress.{}", uuid::Uuid::now_v7());
        ("RELAY_PROGRESS_TOPIC".to_owned(), topic)
    })
}
