//! The relay's process: see the library.

use std::process::ExitCode;

use outbox_relay::operator::operate;
use outbox_relay::{Cli, Command, Service, create_topics, init, outbox_sql};

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = runtime::config::parse();
    match run(cli.command).await {
        Ok(code) => code,
        failed => runtime::exit::code("outbox-relay", failed.map(drop)),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Operate(command) => return Ok(operate(command).await),
        Command::Run(options) => {
            let _telemetry = runtime::telemetry::init("outbox-relay")?;
            Service::build(&options).await?.run().await?;
        }
        Command::Topics(options) => {
            let _telemetry = runtime::telemetry::init("outbox-relay")?;
            create_topics(&options).await?;
        }
        Command::Init(options) => {
            if options.print {
                print!("{}", outbox_sql());
            } else if let Some(database_url) = &options.database_url {
                let created = init(database_url).await?;
                println!(
                    "{}",
                    if created {
                        "messaging.outbox is created"
                    } else {
                        "messaging.outbox exists already"
                    }
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
