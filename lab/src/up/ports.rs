//! The ports of `lab up`.

use super::UpOptions;
use crate::stack::{StackError, ports};

const POSTGRES_PORT: u16 = 54320;
const KAFKA_PORT: u16 = 9092;
const CURE: &str = " or use --free-ports";

/// All ports, looked at before anything is started.
pub(super) struct Ports {
    pub(super) postgres: Option<u16>,
    pub(super) kafka: Option<u16>,
    /// gRPC and admin of each program; the relay has no gRPC.
    pub(super) services: [(u16, u16); 3],
}

impl Ports {
    /// The usual ones, or free ones if that was asked for.
    pub(super) async fn take(options: &UpOptions) -> Result<Self, StackError> {
        if options.free_ports {
            let pair = || Ok::<_, StackError>((ports::free()?, ports::free()?));
            let services = [pair()?, pair()?, (0, ports::free()?)];
            return Ok(Self { postgres: None, kafka: None, services });
        }
        let postgres = match options.postgres {
            Some(_) => None,
            None => Some(
                ports::fixed(POSTGRES_PORT, "PostgreSQL", " or use --postgres or --free-ports")
                    .await?,
            ),
        };
        let kafka = match options.kafka {
            Some(_) => None,
            None => {
                Some(ports::fixed(KAFKA_PORT, "Kafka", " or use --kafka or --free-ports").await?)
            }
        };
        let services = [
            (
                ports::fixed(50051, "store-manager's GRPC_LISTEN", CURE).await?,
                ports::fixed(9101, "store-manager's ADMIN_LISTEN", CURE).await?,
            ),
            (
                ports::fixed(50052, "payments' GRPC_LISTEN", CURE).await?,
                ports::fixed(9102, "payments' ADMIN_LISTEN", CURE).await?,
            ),
            (0, ports::fixed(9103, "outbox-relay's ADMIN_LISTEN", CURE).await?),
        ];
        Ok(Self { postgres, kafka, services })
    }
}
