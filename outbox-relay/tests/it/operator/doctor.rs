//! `doctor`: each fault is made once, found, and its cure named; where the cure is SQL, it cures.

use lab::stack::ports;
use rdkafka::admin::{NewTopic, TopicReplication};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::operator::access::{self, DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE};
use crate::operator::{Answer, ask, ask_until, insert_event, pid, place_of, proxy};
use crate::topic;
use crate::world::{World, database, execute, insert_for};

/// What the doctor says of a database and the world's Kafka.
async fn doctor(world: &World, url: &str, further: &[&str]) -> Answer {
    examine(url, &world.brokers, &world.progress_topic, further).await
}

async fn examine(url: &str, brokers: &str, progress_topic: &str, further: &[&str]) -> Answer {
    let place = place_of(url, brokers, progress_topic);
    let arguments = ["doctor", "--output", "json"].into_iter();
    let arguments =
        arguments.chain(place.iter().map(String::as_str)).chain(further.iter().copied());
    ask(&arguments.collect::<Vec<_>>()).await
}

/// Each finding of a level: its place and check, what is said, and the cure.
fn findings(answer: &Answer, level: &str) -> Vec<(String, String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let all = answer.json()["findings"].as_array().unwrap().clone();
    all.iter()
        .filter(|finding| finding["level"] == level)
        .map(|finding| {
            let check = format!("{} {}", text(finding, "place"), text(finding, "check"));
            (check, text(finding, "said"), text(finding, "cure"))
        })
        .collect()
}

/// The only fault: it must be of this check and be said so; answers its cure.
fn the_fault(answer: &Answer, check: &str, said: &str) -> String {
    let faults = findings(answer, "fault");
    assert!(answer.code == 1 && faults.len() == 1, "{answer:?}");
    let (found, sentence, cure) = &faults[0];
    assert!(found == check && sentence.contains(said) && !cure.is_empty(), "{faults:?}");
    cure.clone()
}

/// The only warning, and no fault.
fn the_warning(answer: &Answer, check: &str, said: &str) -> String {
    let warnings = findings(answer, "warning");
    assert!(answer.code == 0 && warnings.len() == 1, "{answer:?}");
    let (found, sentence, cure) = &warnings[0];
    assert!(found == check && sentence.contains(said) && !cure.is_empty(), "{warnings:?}");
    cure.clone()
}

fn assert_well(answer: &Answer) {
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(findings(answer, "warning").is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_source_that_lacks_nothing_is_well_before_and_after_its_first_run() {
    let world = World::new().await;
    insert_event(&mut world.connect().await, &world.topic, "a").await;
    assert_well(&doctor(&world, &world.url, &[]).await);
    let relay = world.leader(&[]).await;
    world.received(1).await;
    assert_well(&doctor(&world, &world.url, &[]).await);
    relay.stop().await;
    let place = place_of(&world.url, &world.brokers, &world.progress_topic);
    let arguments = ["doctor"].into_iter().chain(place.iter().map(String::as_str));
    let text = ask(&arguments.collect::<Vec<_>>()).await.text;
    assert!(text.lines().all(|line| line.starts_with("ok       ")), "{text}");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_apart_by_why() {
    let world = World::new().await;
    let postgres = world.stack.fresh_postgres().await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
    execute(&mut connection, "CREATE ROLE keen LOGIN PASSWORD 'right'").await;
    execute(&mut connection, "CREATE ROLE barred LOGIN").await;
    execute(&mut connection, "CREATE ROLE single LOGIN CONNECTION LIMIT 0").await;
    execute(&mut connection, "CREATE DATABASE closed").await;
    execute(&mut connection, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC").await;
    let_in(&mut connection).await;
    let port = postgres.url("x").split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    let free = ports::free().unwrap();
    let cases = [
        (
            format!("postgres://keen:wrong@127.0.0.1:{port}/postgres"),
            "refuses the password of keen",
        ),
        (format!("postgres://barred@127.0.0.1:{port}/postgres"), "does not let barred in"),
        (format!("postgres://single@127.0.0.1:{port}/postgres"), "no connection left for single"),
        (format!("postgres://keen:right@127.0.0.1:{port}/nowhere"), "there is no database nowhere"),
        (format!("postgres://keen:right@127.0.0.1:{port}/closed"), "keen may not connect"),
        (
            format!("postgres://keen:right@127.0.0.1:{port}/postgres?sslmode=require"),
            "do not agree on TLS",
        ),
        (format!("postgres://keen:right@127.0.0.1:{free}/postgres"), "no PostgreSQL listens"),
        (format!("postgres://keen:right@nowhere.invalid:{port}/postgres"), "is not known"),
    ];
    for (url, said) in cases {
        the_fault(&doctor(&world, &url, &[]).await, "main connection", said);
        // `run` says the same.
        let relay = world.relay_of(&format!("main={url}"), &[]);
        let (_, source) = relay.until("main", |source| source["state"] == "retrying").await;
        assert!(source["reason"].as_str().unwrap().contains(said), "{source}");
        relay.stop().await;
    }
}

/// Makes the server ask for passwords, but the test's own user.
async fn let_in(connection: &mut PgConnection) {
    let file: String =
        sqlx::query_scalar("SHOW hba_file").fetch_one(&mut *connection).await.unwrap();
    let lines = [
        "host all postgres 127.0.0.1/32 trust",
        "host all single 127.0.0.1/32 trust",
        "host all barred 127.0.0.1/32 reject",
        "host all all 127.0.0.1/32 scram-sha-256",
    ];
    let values: Vec<String> = lines.iter().map(|line| format!("('{line}')")).collect();
    execute(connection, format!("COPY (VALUES {}) TO '{file}'", values.join(", "))).await;
    execute(connection, "SELECT pg_reload_conf()").await;
    let loaded = "SELECT count(*) = 4 FROM pg_hba_file_rules WHERE error IS NULL";
    assert!(sqlx::query_scalar::<_, bool>(loaded).fetch_one(connection).await.unwrap());
}

#[tokio::test]
async fn a_table_that_is_not_as_it_should_be_is_told_with_what_makes_it_so() {
    let world = World::new().await;
    let name = format!("empty_{}", Uuid::now_v7().simple());
    let empty = world.stack.create_database(&name).await.unwrap();
    let answer = doctor(&world, &empty, &[]).await;
    let faults = findings(&answer, "fault");
    assert!(
        answer.code == 1 && faults[0].1.contains("there is no table messaging.outbox"),
        "{answer:?}"
    );
    assert!(faults[0].2.contains("outbox-relay init"), "{faults:?}");
    let cases = [
        (
            "ALTER TABLE messaging.outbox DROP COLUMN tracestate",
            "messaging.outbox has no column tracestate",
        ),
        (
            "ALTER TABLE messaging.outbox ALTER COLUMN payload TYPE text USING ''",
            "payload of messaging.outbox is text and not bytea",
        ),
        ("DROP TABLE messaging.outbox_leader", "there is no table messaging.outbox_leader"),
        ("DROP TABLE messaging.outbox_command", "there is no table messaging.outbox_command"),
        (
            "DROP TABLE messaging.outbox; CREATE TABLE messaging.outbox (id uuid)",
            "messaging.outbox is not partitioned",
        ),
    ];
    for (statement, said) in cases {
        let url = database(world.stack).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        the_fault(&doctor(&world, &url, &[]).await, "main table", said);
        let relay = world.relay_of(&format!("main={url}"), &[]);
        let (_, source) = relay.until("main", |source| source["state"] == "stopped").await;
        assert!(source["reason"].as_str().unwrap().contains(said), "{source}");
        relay.stop().await;
    }
}

#[tokio::test]
async fn what_the_sequence_and_the_single_rows_lack_is_cured_by_the_statement_told() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let cases = [
        (
            "ALTER SEQUENCE messaging.outbox_sequence CACHE 20 INCREMENT 2",
            "CACHE 20 and INCREMENT 2",
        ),
        ("DELETE FROM messaging.outbox_epoch", "messaging.outbox_epoch has no row"),
        ("DELETE FROM messaging.outbox_leader", "messaging.outbox_leader has no row"),
    ];
    for (statement, said) in cases {
        execute(&mut connection, statement).await;
        let cure = the_fault(&doctor(&world, &world.url, &[]).await, "main sequence", said);
        execute(&mut connection, cure).await;
        assert_well(&doctor(&world, &world.url, &[]).await);
    }
    execute(&mut connection, "ALTER TABLE messaging.outbox ALTER COLUMN sequence SET DEFAULT nextval('messaging.outbox_sequence')").await;
    let answer = doctor(&world, &world.url, &[]).await;
    execute(&mut connection, the_warning(&answer, "main table", "do not wake the relay")).await;
    assert_well(&doctor(&world, &world.url, &[]).await);
    execute(&mut connection, "DROP SEQUENCE messaging.outbox_sequence").await;
    let answer = doctor(&world, &world.url, &[]).await;
    the_fault(&answer, "main sequence", "there is no sequence messaging.outbox_sequence");
}

/// The world's database for another role, which may do nothing yet.
async fn as_nobody(world: &World, connection: &mut PgConnection) -> (String, String) {
    let role = format!("nobody_{}", Uuid::now_v7().simple());
    execute(connection, format!("CREATE ROLE {role} LOGIN")).await;
    (world.url.replace("postgres@", &format!("{role}@")), role)
}

#[tokio::test]
async fn a_role_that_may_nothing_is_told_grants_that_make_it_publish() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let (url, role) = as_nobody(&world, &mut connection).await;
    let answer = doctor(&world, &url, &[]).await;
    let cure = the_fault(&answer, "main privileges", "USAGE ON SCHEMA messaging");
    // Each by itself is missed.
    let grants: Vec<&str> = cure.split("; ").collect();
    assert_eq!(grants.len(), 9, "{grants:?}");
    for grant in &grants {
        execute(&mut connection, *grant).await;
    }
    for grant in &grants {
        execute(&mut connection, grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")).await;
        let answer = doctor(&world, &url, &[]).await;
        assert_eq!(the_fault(&answer, "main privileges", &role), *grant);
        execute(&mut connection, *grant).await;
    }
    let answer = doctor(&world, &url, &[]).await;
    let faults = findings(&answer, "fault");
    assert_eq!(faults.len(), 1, "ownership of the table: {faults:?}");
    let warnings = findings(&answer, "warning");
    assert_eq!(warnings.len(), 2, "statistics and commands: {warnings:?}");
    for (_, _, cure) in faults.iter().chain(&warnings) {
        execute(&mut connection, cure.split(", or ").next().unwrap()).await;
    }
    assert_well(&doctor(&world, &url, &[]).await);
    let answer = doctor(&world, &url, &["--feed", "wal"]).await;
    assert!(
        findings(&answer, "warning").iter().any(|(_, said, _)| said.contains("may not replicate"))
    );
    assert_well(&doctor(&world, &world.url, &["--feed", "wal"]).await);
    let relay = world.relay_of(&format!("main={url}"), &[]);
    relay.until("main", |source| source["state"] == "leader").await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_without_a_privilege_stops_with_the_grant_that_it_lacks() {
    let world = World::new().await;
    let (url, role) = as_nobody(&world, &mut world.connect().await).await;
    let relay = world.relay_of(&format!("main={url}"), &[]);
    let (_, source) = relay.until("main", |source| source["state"] == "stopped").await;
    let wanted = format!("GRANT SELECT ON messaging.outbox TO {role}");
    assert!(source["reason"].as_str().unwrap().contains(&wanted), "{source}");
    relay.stop().await;
}

#[tokio::test]
async fn a_leader_that_hangs_or_that_could_not_be_ended_is_told() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let (url, role) = as_nobody(&world, &mut connection).await;
    let mut holder = PgConnection::connect(&url).await.unwrap();
    execute(&mut connection, format!("GRANT USAGE ON SCHEMA messaging TO {role}")).await;
    execute(
        &mut holder,
        "SELECT pg_advisory_lock(x'6f626f78'::integer,
            ('messaging.outbox_sequence'::regclass::oid::bigint - 2147483648)::integer)",
    )
    .await;
    let silent = "UPDATE messaging.outbox_leader SET instance = 'test', beat_at = clock_timestamp() - interval '1 min'";
    execute(&mut connection, silent).await;
    let answer = doctor(&world, &world.url, &[]).await;
    let cure = the_warning(&answer, "main leader", "has not beaten for");
    assert!(cure.contains(&format!("pg_terminate_backend({})", pid(&mut holder).await)), "{cure}");
    let (other, other_role) = as_nobody(&world, &mut connection).await;
    let answer = doctor(&world, &other, &[]).await;
    for (_, _, cure) in findings(&answer, "fault") {
        for grant in cure.split("; ") {
            execute(&mut connection, grant).await;
        }
    }
    execute(&mut connection, format!("GRANT postgres TO {other_role}")).await;
    execute(&mut connection, format!("GRANT CREATE ON SCHEMA messaging TO {other_role}")).await;
    let answer = doctor(&world, &other, &[]).await;
    the_fault(&answer, "main leader", &format!("the leader is of role {role}"));
}

#[tokio::test]
async fn partitions_that_are_few_or_missing_or_the_default_are_told() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 109999998)").await;
    let answer = doctor(&world, &world.url, &[]).await;
    the_warning(&answer, "main partitions", "only 1 partitions are ahead of number 109999999");
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 119999999)").await;
    let answer = doctor(&world, &world.url, &[]).await;
    the_fault(&answer, "main partitions", "number 120000000 has no partition");
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 1, false)").await;
    execute(&mut connection, "CREATE TABLE messaging.rest PARTITION OF messaging.outbox DEFAULT")
        .await;
    let answer = doctor(&world, &world.url, &[]).await;
    let cure = the_fault(&answer, "main partitions", "messaging.rest is a default partition");
    execute(&mut connection, cure.split(", then").next().unwrap()).await;
    assert_well(&doctor(&world, &world.url, &[]).await);
}

#[tokio::test]
async fn transactions_left_open_are_told_with_what_ends_them() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    let pid = pid(&mut holder).await;
    let mut open = holder.begin().await.unwrap();
    world.insert(&mut open, "a", "open").await;
    assert_well(&doctor(&world, &world.url, &[]).await);
    let answer = doctor(&world, &world.url, &["--open-for", "0"]).await;
    let cure = the_warning(&answer, "main transactions", "idle in transaction");
    assert!(cure.contains(&pid.to_string()), "{cure}");
    open.rollback().await.unwrap();
    let gid = format!("forgotten-{}", world.topic);
    execute(&mut connection, "BEGIN").await;
    execute(&mut connection, "SET LOCAL messaging.two_phase = on").await;
    world.insert(&mut connection, "b", "prepared").await;
    execute(&mut connection, format!("PREPARE TRANSACTION '{gid}'")).await;
    let answer = doctor(&world, &world.url, &["--open-for", "0"]).await;
    let cure = the_warning(&answer, "main transactions", &gid);
    assert!(cure.contains(&format!("ROLLBACK PREPARED '{gid}'")), "{cure}");
    execute(&mut connection, format!("ROLLBACK PREPARED '{gid}'")).await;
    assert_well(&doctor(&world, &world.url, &["--open-for", "0"]).await);
}

#[tokio::test]
async fn a_proxy_that_pools_transactions_is_found_out() {
    let world = World::new().await;
    tokio::task::LocalSet::new()
        .run_until(async {
            let server = world.url.split('@').nth(1).unwrap().split('/').next().unwrap();
            let port = proxy::start(server.to_owned()).await;
            let url = world.url.replace(server, &format!("127.0.0.1:{port}"));
            let answer = doctor(&world, &format!("{url}?sslmode=disable"), &[]).await;
            let cure = the_fault(&answer, "main connection", "a proxy stands between");
            assert!(cure.contains("pool sessions"), "{cure}");
        })
        .await;
}

#[tokio::test]
async fn a_kafka_that_cannot_be_reached_is_told_by_why_and_the_database_is_checked_all_the_same() {
    let world = World::new().await;
    let free = format!("127.0.0.1:{}", ports::free().unwrap());
    let cases =
        [(free.as_str(), "no Kafka broker answers"), ("nowhere.invalid:9092", "is not known")];
    for (brokers, said) in cases {
        let answer = examine(&world.url, brokers, &world.progress_topic, &[]).await;
        the_fault(&answer, "kafka connection", said);
        assert!(findings(&answer, "ok").iter().any(|(check, _, _)| check == "main table"));
    }
    // `run` says the same.
    for (brokers, said) in cases {
        let world = World { brokers: brokers.to_owned(), ..World::new().await };
        for delivery in ["at-least-once", "exactly-once"] {
            let relay = world.relay(&["--delivery", delivery]);
            let retrying = |source: &Value| source["state"] == "retrying";
            let (_, source) = relay.until("main", retrying).await;
            assert!(source["reason"].as_str().unwrap().contains(said), "{delivery}: {source}");
            relay.stop().await;
        }
    }
}

#[tokio::test]
async fn a_progress_topic_that_is_missing_or_made_wrongly_is_told() {
    let world = World::new().await;
    let answer = examine(&world.url, &world.brokers, "progress.missing", &[]).await;
    let cure =
        the_fault(&answer, "kafka progress topic", "there is no progress topic progress.missing");
    assert!(cure.contains("outbox-relay topics"), "{cure}");
    let deleting = format!("deleting.{}", world.topic);
    topic::create(&world.brokers, &deleting, 1).await;
    let answer = examine(&world.url, &world.brokers, &deleting, &[]).await;
    the_fault(&answer, "kafka progress topic", "cleanup.policy=delete");
    let many = format!("many.{}", world.topic);
    let compacted =
        NewTopic::new(&many, 3, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    topic::create_with(&world.brokers, compacted).await;
    let answer = examine(&world.url, &world.brokers, &many, &[]).await;
    the_warning(&answer, "kafka progress topic", "has 3 partitions");
}

#[tokio::test]
async fn topics_that_cannot_take_what_is_for_them_are_told() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let missing = format!("missing.{}", world.topic);
    insert_for(&mut connection, &missing, "a", "1").await;
    let answer = doctor(&world, &world.url, &[]).await;
    the_fault(&answer, "main topic", &format!("there is no topic {missing}"));
    topic::create(&world.brokers, &missing, 1).await;
    assert_well(&doctor(&world, &world.url, &[]).await);
    topic::configure(&world.brokers, &missing, "max.message.bytes", "2000").await;
    let large = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES ($1, $2, 'a', 'T', 's', 'x', convert_to(repeat('x', 5000), 'UTF8'))",
    )
    .bind(large)
    .bind(&missing)
    .execute(&mut connection)
    .await
    .unwrap();
    let answer = doctor(&world, &world.url, &[]).await;
    the_fault(&answer, "main topic", &format!("event {large} of about"));
}

#[tokio::test]
async fn progress_that_does_not_fit_the_table_is_told() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 1 && source["in_flight"] == 0).await;
    relay.stop().await;
    let other = database(world.stack).await;
    let answer = doctor(&world, &other, &[]).await;
    the_fault(&answer, "main progress", "belongs to another table");
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 1, false)").await;
    let answer = doctor(&world, &world.url, &[]).await;
    the_fault(
        &answer,
        "main progress",
        "has reached number 1, but the sequence of the table only 0",
    );
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 1)").await;
    let sources = format!("renamed={}", world.url);
    let arguments =
        ["doctor", "--output", "json", "--sources", &sources, "--kafka-brokers", &world.brokers];
    let answer =
        ask(&[&arguments[..], &["--progress-topic", &world.progress_topic]].concat()).await;
    the_fault(&answer, "renamed progress", "is marked as published");
}

#[tokio::test]
async fn topics_that_may_not_be_written_are_told() {
    let stack = lab::stack::Stack::shared().await.unwrap();
    let settings = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
        allow.everyone.if.no.acl.found=true";
    let kafka = stack.fresh_kafka_with(settings).await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    world.insert(&mut world.connect().await, "a", "1").await;
    assert_well(&doctor(&world, &world.url, &[]).await);
    // A topic with rules allows what they say and nothing else.
    access::allow(&world.brokers, &world.topic, &[DESCRIBE, DESCRIBE_CONFIGS, READ]).await;
    let said = format!("does not authorise WRITE on topic {}", world.topic);
    let answer = doctor_until(&world, |answer| !findings(answer, "fault").is_empty()).await;
    the_fault(&answer, "main topic", &said);
    access::allow(&world.brokers, &world.topic, &[WRITE]).await;
    doctor_until(&world, |answer| answer.code == 0).await;
    access::allow(&world.brokers, &world.progress_topic, &[DESCRIBE]).await;
    let answer = doctor_until(&world, |answer| findings(answer, "warning").len() == 1).await;
    let said = format!("does not authorise READ and WRITE on topic {}", world.progress_topic);
    the_fault(&answer, "kafka progress topic", &said);
    assert!(findings(&answer, "warning")[0].2.contains("DESCRIBE_CONFIGS"), "{answer:?}");
    access::allow(&world.brokers, &world.progress_topic, &[DESCRIBE_CONFIGS, READ, WRITE]).await;
    assert_well(&doctor_until(&world, |answer| answer.code == 0).await);
}

/// Asks until a rule that was made has come into force.
async fn doctor_until(world: &World, wanted: impl Fn(&Answer) -> bool) -> Answer {
    ask_until(world, &["doctor"], wanted).await
}
