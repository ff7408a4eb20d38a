//! Kafka and PostgreSQL over TLS, with passwords; and how it is told when they do not let the relay in.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lab::stack::{Certificate, Kafka, Secured, Stack};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::world::{Relay, World, binary, database, execute};

const PASSWORD: &str = "hunter2";

/// Who vouches for certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn certificate(&self, host: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Files of one test.
struct Files(PathBuf);

impl Files {
    fn new(stack: &Stack) -> Self {
        let path = stack.directory().join(format!("files-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A Kafka for the user `relay` with a certificate, at a host that its own certificate is for.
struct Fort {
    kafka: Kafka,
    authority: String,
    other_authority: String,
    certificate: String,
    key: String,
    password_file: String,
}

impl Fort {
    /// The one of this binary.
    async fn shared() -> &'static Self {
        static FORT: OnceCell<Fort> = OnceCell::const_new();
        FORT.get_or_init(Self::build).await
    }

    async fn build() -> Self {
        let stack = Stack::shared().await.unwrap();
        let (authority, other) = (Authority::new("authority"), Authority::new("other"));
        let secured = Secured {
            certificate: authority.certificate("localhost"),
            authority: authority.pem.clone(),
            user: "relay".to_owned(),
            password: PASSWORD.to_owned(),
        };
        let kafka = stack.fresh_kafka_secured(&secured).await.unwrap();
        let (files, client) = (Files::new(stack), authority.certificate("client"));
        Self {
            kafka,
            authority: files.write("authority.pem", &authority.pem),
            other_authority: files.write("other.pem", &other.pem),
            certificate: files.write("client.pem", &client.chain),
            key: files.write("client.key", &client.key),
            password_file: files.write("password", &format!("{PASSWORD}\n")),
        }
    }

    async fn world(&self) -> World {
        let stack = Stack::shared().await.unwrap();
        World::with_brokers(stack, self.kafka.brokers().to_owned()).await
    }

    /// The arguments that get in, with some of them replaced or, with no value, left out.
    fn arguments<'a>(&'a self, changes: &[(&'a str, Option<&'a str>)]) -> Vec<&'a str> {
        let mut arguments = vec![
            ("--kafka-brokers", self.kafka.secured().unwrap()),
            ("--kafka-security-protocol", "sasl_ssl"),
            ("--kafka-sasl-mechanism", "SCRAM-SHA-512"),
            ("--kafka-username", "relay"),
            ("--kafka-password-file", &self.password_file),
            ("--kafka-ca-location", &self.authority),
            ("--kafka-certificate", &self.certificate),
            ("--kafka-key", &self.key),
            // The broker listens at 127.0.0.1 only, and localhost may be ::1 first.
            ("--kafka-property", "broker.address.family=v4"),
        ];
        for (name, value) in changes {
            arguments.retain(|(other, _)| other != name);
            arguments.extend(value.map(|value| (*name, value)));
        }
        arguments.into_iter().flat_map(|(name, value)| [name, value]).collect()
    }

    /// A relay that is let in, or is not.
    fn relay(
        &self,
        world: &World,
        changes: &[(&str, Option<&str>)],
        environment: &[(&str, &str)],
    ) -> Relay {
        let sources = format!("main={}", world.url);
        let arguments = self.arguments(changes);
        world.spawn(&[&["--sources", &sources], &arguments[..]].concat(), environment)
    }
}

/// Waits until the source says `said`, in one sentence that has no password in it, and that the log has as well.
async fn refused(relay: Relay, said: &[&str]) {
    let (ready, source) = relay
        .until("main", |source| {
            let reason = source["reason"].as_str().unwrap_or_default();
            said.iter().all(|part| reason.contains(part))
        })
        .await;
    assert!(!ready);
    println!("{}", source["reason"].as_str().unwrap());
    let log = relay.log();
    assert!(said.iter().all(|part| log.contains(part)), "{log}");
    for secret in [PASSWORD, "hunter3"] {
        assert!(!log.contains(secret) && !source.to_string().contains(secret), "{log}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn records_are_published_over_tls_by_each_mechanism_and_delivery() {
    let fort = Fort::shared().await;
    for (mechanism, delivery) in [
        ("SCRAM-SHA-512", "at-least-once"),
        ("scram-sha-256", "exactly-once"),
        ("PLAIN", "exactly-once"),
    ] {
        let world = fort.world().await;
        let mut connection = world.connect().await;
        world.insert(&mut connection, "a", mechanism).await;
        let changes = [("--kafka-sasl-mechanism", Some(mechanism)), ("--delivery", Some(delivery))];
        let relay = fort.relay(&world, &changes, &[]);
        relay.until("main", |source| source["state"] == "leader").await;
        assert_eq!(world.subjects(1).await, [mechanism]);
        relay.stop().await;
    }
}

#[tokio::test]
async fn everything_about_kafka_may_come_from_the_environment() {
    let fort = Fort::shared().await;
    let world = fort.world().await;
    let environment = [
        ("RELAY_SOURCES", &*format!("main={}", world.url)),
        ("KAFKA_BROKERS", &fort.kafka.secured().unwrap().replace("localhost", "127.0.0.1")),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_USERNAME", "relay"),
        ("KAFKA_PASSWORD", PASSWORD),
        ("KAFKA_CA_LOCATION", &fort.authority),
        ("KAFKA_CERTIFICATE", &fort.certificate),
        ("KAFKA_KEY", &fort.key),
        ("KAFKA_VERIFY_HOSTNAME", "false"),
        ("KAFKA_PROPERTIES", "broker.address.family=v4;compression.codec=snappy"),
    ];
    let relay = world.spawn(&[], &environment);
    relay.until("main", |source| source["state"] == "leader").await;
    assert!(!relay.log().contains(PASSWORD), "{}", relay.log());
    relay.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let fort = Fort::shared().await;
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        for delivery in ["at-least-once", "exactly-once"] {
            let changes = [
                ("--kafka-password-file", None),
                ("--kafka-sasl-mechanism", Some(mechanism)),
                ("--delivery", Some(delivery)),
            ];
            let world = fort.world().await;
            let relay = fort.relay(&world, &changes, &[("KAFKA_PASSWORD", "hunter3")]);
            refused(relay, &["refuses the credentials", "correct mechanism, user and password"])
                .await;
        }
    }
}

#[tokio::test]
async fn a_broker_that_is_not_vouched_for_is_refused() {
    let fort = Fort::shared().await;
    let world = fort.world().await;
    let changes = [("--kafka-ca-location", Some(fort.other_authority.as_str()))];
    refused(fort.relay(&world, &changes, &[]), &["do not agree on TLS", "--kafka-ca-location"])
        .await;
}

#[tokio::test]
async fn a_broker_at_another_host_than_its_certificate_is_for_is_refused() {
    let fort = Fort::shared().await;
    let world = fort.world().await;
    let address = fort.kafka.secured().unwrap().replace("localhost", "127.0.0.1");
    let changes = [("--kafka-brokers", Some(address.as_str()))];
    refused(fort.relay(&world, &changes, &[]), &["do not agree on TLS", "host"]).await;
}

#[tokio::test]
async fn a_relay_without_a_certificate_is_told_that_kafka_wants_one() {
    let fort = Fort::shared().await;
    let world = fort.world().await;
    let changes = [("--kafka-certificate", None), ("--kafka-key", None)];
    refused(
        fort.relay(&world, &changes, &[]),
        &["wants a client certificate", "--kafka-certificate"],
    )
    .await;
}

#[tokio::test]
async fn talking_without_tls_to_a_port_that_wants_it_or_the_other_way_round_is_told() {
    let fort = Fort::shared().await;
    let world = fort.world().await;
    let sources = format!("main={}", world.url);
    let arguments = ["--sources", &sources, "--kafka-brokers", fort.kafka.secured().unwrap()];
    let relay = world.spawn(&arguments, &[("KAFKA_PROPERTIES", "broker.address.family=v4")]);
    refused(relay, &["--kafka-security-protocol"]).await;
    let changes = [("--kafka-brokers", Some(fort.kafka.brokers()))];
    refused(
        fort.relay(&world, &changes, &[]),
        &["do not agree on TLS", "--kafka-security-protocol"],
    )
    .await;
}

#[tokio::test]
async fn options_that_do_not_fit_each_other_are_told_all_at_once() {
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["--kafka-security-protocol", "sasl_ssl", "--kafka-certificate", "/nowhere"],
            &[
                "KAFKA_SASL_MECHANISM",
                "KAFKA_USERNAME",
                "KAFKA_PASSWORD_FILE",
                "/nowhere",
                "KAFKA_KEY",
            ],
        ),
        (
            &[
                "--kafka-username",
                "me",
                "--kafka-ca-location",
                "/",
                "--kafka-verify-hostname",
                "false",
            ],
            &["KAFKA_USERNAME", "KAFKA_CA_LOCATION", "KAFKA_VERIFY_HOSTNAME", "is plaintext"],
        ),
        (
            &["--kafka-password", PASSWORD, "--kafka-password-file", "/nowhere"],
            &["exclude each other", "sasl_ssl or sasl_plaintext"],
        ),
        (
            &["--kafka-security-protocol", "ssl", "--kafka-ca-location", "/etc/hostname"],
            &["make no client", "ssl.ca.location"],
        ),
        (
            &[
                "--kafka-property",
                "acks=1",
                "--kafka-property",
                "sasl.password=hunter2",
                "--kafka-property",
                "a",
            ],
            &[
                "KAFKA_PROPERTIES",
                "acks is not to be changed",
                "--kafka-password-file",
                "is not KEY=VALUE",
            ],
        ),
    ];
    for (arguments, told) in cases {
        let output = Command::new(binary())
            .args(["topics", "--kafka-brokers", "localhost:1"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(told.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

/// A PostgreSQL that takes connections over TLS only, with an outbox, and the files that a client needs.
async fn postgres_over_tls(stack: &Stack) -> (lab::stack::Postgres, String, Authority, String) {
    let authority = Authority::new("authority");
    let certificate = authority.certificate("localhost");
    let postgres = stack.fresh_postgres_with_tls(&certificate).await.unwrap();
    let url = postgres.create_database("shop").await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    execute(&mut connection, outbox_relay::outbox_sql()).await;
    let data: String =
        sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await.unwrap();
    let only_tls =
        format!("COPY (SELECT 'hostssl all all 127.0.0.1/32 trust') TO '{data}/pg_hba.conf'");
    execute(&mut connection, only_tls).await;
    execute(&mut connection, "SELECT pg_reload_conf()").await;
    let pem = Files::new(stack).write("postgres.pem", &authority.pem);
    (postgres, url, authority, pem)
}

#[tokio::test]
async fn postgresql_is_read_over_tls_that_is_verified() {
    let mut world = World::new().await;
    let (_postgres, url, _authority, pem) = postgres_over_tls(world.stack).await;
    let plain: PgConnectOptions = url.parse().unwrap();
    plain.ssl_mode(PgSslMode::Disable).connect().await.unwrap_err();
    let verified =
        url.replace("127.0.0.1", "localhost") + "?sslmode=verify-full&sslrootcert=" + &pem;
    world.url.clone_from(&verified);
    // Of partitions so small that some have to be made.
    execute(&mut world.connect().await, "SELECT setval('messaging.outbox_sequence', 110000000)")
        .await;
    for feed in ["table", "wal"] {
        let relay = world.leader(&["--feed", feed]).await;
        world.insert(&mut world.connect().await, "a", feed).await;
        assert!(world.subjects(1).await.contains(&feed.to_owned()));
        assert_eq!(relay.metric("store_outbox_partition_failures_total{"), Some(0.0));
        assert!(relay.metric("store_outbox_partitions_ahead{").unwrap() >= 11.0);
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_postgresql_that_is_not_vouched_for_or_not_at_its_host_is_refused() {
    let world = World::new().await;
    let (_postgres, url, _authority, pem) = postgres_over_tls(world.stack).await;
    let other = Files::new(world.stack).write("other.pem", &Authority::new("other").pem);
    let localhost = url.replace("127.0.0.1", "localhost");
    let without = database(world.stack).await;
    for (url, said) in [
        (format!("{localhost}?sslmode=verify-full&sslrootcert={other}"), "sslrootcert="),
        (format!("{url}?sslmode=verify-full&sslrootcert={pem}"), "not valid for"),
        (format!("{localhost}?sslmode=disable"), "without TLS"),
        (format!("{without}?sslmode=require"), "have the server offer it"),
    ] {
        refused(world.relay_of(&format!("main={url}"), &[]), &[said]).await;
    }
}
