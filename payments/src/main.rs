//! The process `payments`.

use std::process::ExitCode;

use anyhow::Context as _;
use payments::{
    config::{Command, CommandLine, Config, KafkaOptions},
    service::{self, NAME, Service},
};
use runtime::{
    Tasks, config, exit,
    postgres::{self, PostgresOptions},
    shutdown, telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = config::parse::<CommandLine>();
    exit::code(NAME, run(command_line).await)
}

async fn run(command_line: CommandLine) -> anyhow::Result<()> {
    let telemetry = telemetry::init(NAME).context("telemetry cannot be set up")?;
    let result = match command_line.command {
        Command::Serve(config) => serve(*config).await,
        Command::Migrate(options) => migrate(&options).await,
        Command::Topics(options) => topics(&options).await,
    };
    telemetry.shutdown();
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut tasks = Tasks::new();
    tasks.spawn("signals", shutdown::on_signal(tasks.shutdown()));
    Service::build(config).await?.run(tasks).await?;
    Ok(())
}

async fn migrate(options: &PostgresOptions) -> anyhow::Result<()> {
    let pool = postgres::connect(options, NAME).await?;
    service::migrate(&pool).await.context("the schema cannot be brought up to date")?;
    pool.close().await;
    tracing::info!("the schema is up to date");
    Ok(())
}

async fn topics(options: &KafkaOptions) -> anyhow::Result<()> {
    service::create_topics(&options.kafka_brokers).await?;
    tracing::info!("the topics are there");
    Ok(())
}
