//! The profile in which Debezium Server publishes in the place of the relay, with the settings that the lab runs it with.

use std::{collections::BTreeSet, fs};

use super::files::{Compose, root};

const SETTINGS: &str = "deploy/debezium/application.properties";
const ACCESS: &str = "deploy/debezium/access.sql";
const SERVERS: [(&str, &str); 2] =
    [("store-manager-debezium", "store_manager"), ("payments-debezium", "payments")];

#[test]
fn either_the_relay_publishes_or_debezium() {
    let relay = BTreeSet::from(["outbox-relay"]);
    let debezium = SERVERS.map(|(name, _)| name).into();
    let usual = fs::read_to_string(root().join(".env")).unwrap();
    assert!(usual.lines().any(|line| line == "COMPOSE_PROFILES=relay"), "{usual}");
    let compose = Compose::read();
    for (profile, expected) in [("relay", &relay), ("ui", &relay), ("debezium", &debezium)] {
        assert_eq!(&publishers(&compose, profile), expected, "profile {profile}");
    }
}

#[test]
fn each_database_has_a_debezium_of_its_own_with_the_settings_of_the_lab() {
    let compose = Compose::read();
    let settings = fs::read_to_string(root().join(SETTINGS)).unwrap();
    for (name, database) in SERVERS {
        let server = &compose.services[name];
        for variable in variables(&settings) {
            assert!(server.environment.contains_key(variable), "{name} lacks {variable}");
        }
        assert_eq!(server.environment["DATABASE_NAME"], database);
        assert_eq!(
            server.environment["KAFKA_BROKERS"],
            compose.services["store-manager"].environment["KAFKA_BROKERS"]
        );
        let mounted = format!("./{SETTINGS}:/debezium/config/application.properties:ro");
        assert_eq!(server.volumes, [mounted, format!("{name}:/debezium/data")]);
        assert!(server.depends_on.contains_key("debezium-access"), "{name}");
    }
}

#[test]
fn debezium_comes_to_each_database_as_the_role_that_is_made_for_it() {
    let compose = Compose::read();
    let access = &compose.services["debezium-access"];
    assert_eq!(access.volumes, [format!("./{ACCESS}:/access.sql:ro")]);
    let script = access.command.last().unwrap();
    for (_, database) in SERVERS {
        assert!(script.contains(&format!(" {database}")), "{script}");
    }
    let settings = fs::read_to_string(root().join(SETTINGS)).unwrap();
    let made = fs::read_to_string(root().join(ACCESS)).unwrap();
    let value = |key: &str| {
        let lines = settings.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(name, _)| *name == key).map(|(_, value)| value).next().unwrap()
    };
    let (user, password) =
        (value("debezium.source.database.user"), value("debezium.source.database.password"));
    assert!(made.contains(&format!("CREATE ROLE {user} LOGIN REPLICATION PASSWORD '{password}'")));
    let publication = value("debezium.source.publication.name");
    assert!(made.contains(&format!("CREATE PUBLICATION {publication} FOR")));
    assert!(compose.services["postgres"].command.contains(&"wal_level=logical".to_owned()));
}

/// Those that read an outbox, of the containers that run with a profile.
fn publishers<'compose>(compose: &'compose Compose, profile: &str) -> BTreeSet<&'compose str> {
    let runs = |profiles: &[String]| {
        profiles.is_empty() || profiles.iter().any(|with_it| with_it == profile)
    };
    compose
        .services
        .iter()
        .filter(|(_, container)| runs(&container.profiles))
        .filter(|(_, container)| {
            container.image.starts_with("debezium/") || container.command == ["outbox-relay", "run"]
        })
        .map(|(name, _)| name.as_str())
        .collect()
}

/// The variables that the settings need: those without a default.
fn variables(settings: &str) -> impl Iterator<Item = &str> {
    let references = settings.split("${").skip(1);
    references.filter_map(|rest| rest.split('}').next()).filter(|name| !name.contains(':'))
}
