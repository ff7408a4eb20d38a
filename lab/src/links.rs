//! The ways between the programs of a [`System`](crate::system::System), their callers, PostgreSQL and Kafka: each pair has its own,
//! so that each can be disturbed by itself.

use std::{fmt, net::SocketAddr};

use crate::{
    processes::Program,
    stack::{Proxy, StackError, ports, postgres_url},
};

/// A way from somebody to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// From a program to its database, or the relay to all of them.
    Postgres(Program),
    /// From a program to Kafka.
    Kafka(Program),
    /// From the callers to a service.
    Callers(Program),
}

impl Link {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Callers(Program::StoreManager),
        Self::Callers(Program::Payments),
        Self::Postgres(Program::StoreManager),
        Self::Postgres(Program::Payments),
        Self::Postgres(Program::OutboxRelay),
        Self::Kafka(Program::StoreManager),
        Self::Kafka(Program::Payments),
        Self::Kafka(Program::OutboxRelay),
    ];

    /// The program at one of its ends.
    #[must_use]
    pub fn program(self) -> Program {
        match self {
            Self::Postgres(program) | Self::Kafka(program) | Self::Callers(program) => program,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program().name();
        match self {
            Self::Postgres(_) => write!(formatter, "{program}-postgres"),
            Self::Kafka(_) => write!(formatter, "{program}-kafka"),
            Self::Callers(_) => write!(formatter, "callers-{program}"),
        }
    }
}

/// All the ways of a system.
#[derive(Debug)]
pub struct Links(Vec<(Link, Proxy)>);

impl Links {
    /// For each program the port of a listener of Kafka's, and the port at which the program looks for it.
    pub(crate) fn kafka_ports() -> Result<Vec<(u16, u16)>, StackError> {
        Program::ALL.iter().map(|_| Ok((ports::free()?, ports::free()?))).collect()
    }

    /// Opens the ways to PostgreSQL, which is where the URL `postgres` says, and to Kafka.
    pub(crate) async fn open(
        postgres: &str,
        kafka_ports: &[(u16, u16)],
    ) -> Result<Self, StackError> {
        let server = postgres_url::address(postgres).ok_or(StackError::NotOurs("PostgreSQL"))?;
        let mut links = Vec::new();
        for program in Program::ALL {
            links.push((Link::Postgres(program), Proxy::open(ports::free()?, server).await?));
        }
        for (program, (listener, port)) in Program::ALL.into_iter().zip(kafka_ports) {
            let server = SocketAddr::from(([127, 0, 0, 1], *listener));
            links.push((Link::Kafka(program), Proxy::open(*port, server).await?));
        }
        Ok(Self(links))
    }

    /// Opens the callers' ways to the services.
    pub(crate) async fn open_callers(
        &mut self,
        [store_manager, payments]: [SocketAddr; 2],
    ) -> Result<(), StackError> {
        for (program, server) in
            [(Program::StoreManager, store_manager), (Program::Payments, payments)]
        {
            self.0.push((Link::Callers(program), Proxy::open(ports::free()?, server).await?));
        }
        Ok(())
    }

    /// One of them; the relay has no callers.
    #[must_use]
    pub fn get(&self, link: Link) -> Option<&Proxy> {
        self.0.iter().find(|(known, _)| *known == link).map(|(_, proxy)| proxy)
    }

    /// The URL by which a program finds the database of `url`.
    pub(crate) fn postgres_url(&self, program: Program, url: &str) -> String {
        match self.get(Link::Postgres(program)) {
            Some(proxy) => postgres_url::at(url, proxy.address()),
            None => url.to_owned(),
        }
    }

    /// Where a program finds Kafka.
    pub(crate) fn brokers(&self, program: Program) -> String {
        self.get(Link::Kafka(program)).map(|proxy| proxy.address().to_string()).unwrap_or_default()
    }
}
