//! The methods a server has, read from the descriptor sets it also reflects.

use std::{collections::HashMap, sync::Arc};

use prost::{DecodeError, Message as _};
use prost_types::FileDescriptorSet;

/// One method of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) service: Arc<str>,
    pub(super) name: Arc<str>,
    /// Whether its answer is a stream, which ends when it ends.
    pub(super) streaming: bool,
}

/// The methods by their path, `/package.Service/Method`.
#[derive(Clone, Debug)]
pub(super) struct Methods {
    known: Arc<HashMap<String, Method>>,
    unknown: Method,
}

impl Methods {
    pub(super) fn read(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut known = HashMap::new();
        for bytes in descriptor_sets {
            for file in FileDescriptorSet::decode(*bytes)?.file {
                for service in &file.service {
                    let service_name: Arc<str> =
                        format!("{}.{}", file.package(), service.name()).into();
                    for method in &service.method {
                        let path = format!("/{service_name}/{}", method.name());
                        let name = method.name().into();
                        let service = Arc::clone(&service_name);
                        let streaming = method.server_streaming();
                        known.insert(path, Method { service, name, streaming });
                    }
                }
            }
        }
        let unknown =
            Method { service: "unknown".into(), name: "unknown".into(), streaming: false };
        Ok(Self { known: Arc::new(known), unknown })
    }

    /// The method at `path`; one named `unknown` if there is none, so that callers cannot make up labels.
    pub(super) fn at(&self, path: &str) -> &Method {
        self.known.get(path).unwrap_or(&self.unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_known_as_such() {
        let methods = Methods::read(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        assert!(methods.at("/grpc.health.v1.Health/Watch").streaming);
        assert!(!methods.at("/grpc.health.v1.Health/Check").streaming);
        assert_eq!(&*methods.at("/made.up/Name").service, "unknown");
    }
}
