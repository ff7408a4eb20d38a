//! The gRPC server: bound first, so that its address is known, then served until the shutdown.

use std::net::SocketAddr;

use axum::middleware::{from_fn, from_fn_with_state};
use prost::DecodeError;
use tokio::{net::TcpListener, time::sleep};
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_reflection::server::{Builder, Error as ReflectionError};
use tracing::warn;

use super::{
    concurrency::{self, Places},
    deadline::{self, Ends},
    errors::errors,
    methods::Methods,
    metrics::{self, Durations},
    options::{GRPC_LISTEN, GrpcOptions},
    panics::panics,
    rate::{self, Rate},
    span,
};
use crate::{BindError, Shutdown, listen, metrics::Registry};

/// A gRPC server that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// A descriptor set is none.
    #[error("a descriptor set cannot be read")]
    Descriptors(#[from] DecodeError),
    /// Reflection cannot be built of the descriptor sets.
    #[error("reflection cannot be built")]
    Reflection(#[from] ReflectionError),
    /// The transport failed.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
}

/// A gRPC server, bound and not serving yet. What is connected waits.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    options: GrpcOptions,
    descriptor_sets: Vec<&'static [u8]>,
    durations: Durations,
}

impl GrpcServer {
    /// Binds `address`, which comes from `GRPC_LISTEN`.
    ///
    /// # Errors
    /// If it is taken or not of this machine.
    pub async fn bind(address: SocketAddr, options: GrpcOptions) -> Result<Self, BindError> {
        let (listener, local_addr) = listen::bind(address, GRPC_LISTEN).await?;
        let descriptor_sets =
            vec![tonic_types::pb::FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET];
        let durations = Durations::new();
        Ok(Self { listener, local_addr, options, descriptor_sets, durations })
    }

    /// The address it is bound to, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Reflects the services of this encoded `FileDescriptorSet`. Without it their rpcs work, but all count as `unknown` and as
    /// no streams.
    #[must_use]
    pub fn reflection(mut self, descriptor_set: &'static [u8]) -> Self {
        self.descriptor_sets.push(descriptor_set);
        self
    }

    /// Registers the server's metrics.
    #[must_use]
    pub fn metrics(self, registry: &mut Registry) -> Self {
        self.durations.register(registry);
        self
    }

    /// Serves `routes`, health and reflection until the shutdown is requested; then says NOT_SERVING, ends the streams,
    /// stops accepting, drains, and aborts what is left after the drain timeout.
    ///
    /// `services` are the full names that are SERVING besides "", and that reflection lists.
    ///
    /// # Errors
    /// If a descriptor set is wrong or the transport fails.
    pub async fn serve(
        self,
        routes: Routes,
        services: &'static [&'static str],
        shutdown: Shutdown,
    ) -> Result<(), GrpcError> {
        let (drain, abort) = (Shutdown::new(), Shutdown::new());
        let (health, health_server) = tonic_health::server::health_reporter();
        set_health(&health, services, ServingStatus::Serving).await;
        let routes = self.layered(routes.add_service(health_server), services, &drain, &abort)?;
        let drain_timeout = self.options.drain_timeout();
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let stop = drain.clone();
        let server = Server::builder()
            .serve_with_incoming_shutdown(routes, incoming, async move { stop.requested().await });
        let overdue = async {
            shutdown.requested().await;
            set_health(&health, services, ServingStatus::NotServing).await;
            drain.request();
            sleep(drain_timeout).await;
            abort.request();
            // What was aborted still has to be told so.
            sleep(drain_timeout / 10).await;
        };
        tokio::select! {
            served = server => Ok(served?),
            () = overdue => {
                warn!("gRPC connections were left open at the drain timeout");
                Ok(())
            }
        }
    }

    fn layered(
        &self,
        routes: Routes,
        services: &[&'static str],
        drain: &Shutdown,
        abort: &Shutdown,
    ) -> Result<Routes, GrpcError> {
        let routes = routes.add_service(self.reflected(services).build_v1()?);
        let routes = routes.add_service(self.reflected(services).build_v1alpha()?);
        let methods = self.methods()?;
        let ends = Ends {
            methods: methods.clone(),
            default_timeout: self.options.default_timeout(),
            drain: drain.clone(),
            abort: abort.clone(),
        };
        let places = Places::new(self.options.grpc_max_concurrent_requests);
        let per_peer = Rate::per_second(self.options.grpc_max_requests_per_second);
        let measured = (methods.clone(), self.durations.clone());
        // The last layer is the outermost.
        let router = routes
            .into_axum_router()
            .layer(from_fn_with_state(ends, deadline::deadline))
            .layer(from_fn_with_state(places, concurrency::concurrency))
            .layer(from_fn_with_state(per_peer, rate::rate))
            .layer(from_fn(panics))
            .layer(from_fn(errors))
            .layer(from_fn_with_state(measured, metrics::metrics))
            .layer(from_fn_with_state(methods, span::span));
        Ok(Routes::from(router).prepare())
    }

    /// Knows every type, and lists what is served: a descriptor set may hold another process's services too.
    fn reflected(&self, services: &[&'static str]) -> Builder<'static> {
        let health = tonic_health::pb::health_server::SERVICE_NAME;
        let sets = self.descriptor_sets.iter();
        let builder = sets.fold(Builder::configure(), |builder, set| {
            builder.register_encoded_file_descriptor_set(set)
        });
        let names = services.iter().chain([&health]);
        names.fold(builder, |builder, name| builder.with_service_name(*name))
    }

    fn methods(&self) -> Result<Methods, DecodeError> {
        let own: [&[u8]; 2] = [
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let sets: Vec<&[u8]> = self.descriptor_sets.iter().copied().chain(own).collect();
        Methods::read(&sets)
    }
}

async fn set_health(health: &HealthReporter, services: &[&str], status: ServingStatus) {
    for service in std::iter::once("").chain(services.iter().copied()) {
        health.set_service_status(service, status).await;
    }
}

#[cfg(test)]
mod tests;
