//! How the consumer reads and how patient it is.

use std::time::Duration;

use rdkafka::ClientConfig;

/// The consumer's settings.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Kafka's bootstrap servers.
    pub brokers: String,
    /// The consumer group: the service's name.
    pub group: String,
    /// Records in one transaction at most.
    pub batch_records: usize,
    /// After how much work a transaction takes no further record.
    pub batch_time: Duration,
    /// How long a transaction may take at all, well below `max.poll.interval.ms`.
    pub attempt_timeout: Duration,
    /// The first pause after trouble; doubles each time.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Further settings of librdkafka, which win over the consumer's own.
    pub overrides: Vec<(String, String)>,
}

impl ConsumerOptions {
    /// The usual settings: 50 records or 20 ms a transaction, pauses from 100 ms to 10 s.
    #[must_use]
    pub fn new(brokers: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            group: group.into(),
            batch_records: 50,
            batch_time: Duration::from_millis(20),
            attempt_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            overrides: Vec::new(),
        }
    }
}

/// Parses `KEY=VALUE`, a setting that librdkafka has and a value that it takes.
///
/// # Errors
/// What is wrong, if it is not that.
pub fn consumer_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    let checked = ClientConfig::new().set(key, value).create_native_config();
    checked.map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_one_that_the_client_has_with_a_value_that_it_takes() {
        let setting = ("session.timeout.ms".to_owned(), "2000".to_owned());
        assert_eq!(consumer_setting("session.timeout.ms=2000"), Ok(setting));
        for garbage in [
            "",
            "session.timeout.ms",
            "nobody.nothing=1",
            "session.timeout.ms=soon",
            "=",
            "session.timeout.ms=",
        ] {
            let told = consumer_setting(garbage).expect_err(garbage);
            assert!(!told.contains('\n'), "{told}");
        }
    }
}
