//! What Kafka's client says, by its codes and by what it reported before.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use runtime::with_causes;

use crate::fault::Fault;
use crate::source::progress_topic::ReadProgressError;

/// What Kafka's client says when something did not work, whatever it was.
const VAGUE: [Code; 4] = [
    Code::AllBrokersDown,
    Code::BrokerTransportFailure,
    Code::OperationTimedOut,
    Code::RequestTimedOut,
];

/// What it says when its user may not do something.
const UNAUTHORISED: [Code; 4] = [
    Code::TopicAuthorizationFailed,
    Code::GroupAuthorizationFailed,
    Code::ClusterAuthorizationFailed,
    Code::TransactionalIdAuthorizationFailed,
];

impl Fault {
    /// What Kafka's client says; `heard` is what it reported before, newest last.
    pub(crate) fn of_kafka(error: &KafkaError, brokers: &str, heard: &[(Code, String)]) -> Self {
        let latest = |wanted: fn(Code) -> bool| heard.iter().rev().find(|(code, _)| wanted(*code));
        let telling = latest(Self::is_telling)
            .or_else(|| latest(|code| code == Code::BrokerTransportFailure))
            .or(heard.last());
        let own = error.rdkafka_error_code();
        match (telling, own) {
            (Some((code, reason)), Some(own)) if !Self::is_telling(own) => {
                // What follows tells how often and after how long, and not why.
                let said = reason.split(" (after ").next().unwrap_or(reason);
                Self::of_kafka_tls(*code, reason, said, brokers)
                    .unwrap_or_else(|| Self::of_code(*code, said, brokers))
            }
            (_, Some(own)) => {
                let said = error.to_string();
                Self::of_kafka_tls(own, &said, &said, brokers)
                    .unwrap_or_else(|| Self::of_code(own, &said, brokers))
            }
            (_, None) => Self::new(
                format!("Kafka's client cannot be set up ({error})"),
                "correct the options that it names",
            ),
        }
    }

    /// Whether a client's report says more than that something did not work.
    pub(crate) fn is_telling(code: Code) -> bool {
        !VAGUE.contains(&code)
    }

    fn of_code(code: Code, reason: &str, brokers: &str) -> Self {
        if [Code::Authentication, Code::SaslAuthenticationFailed].contains(&code) {
            return Self::new(
                format!("Kafka at {brokers} refuses the credentials ({reason})"),
                "correct mechanism, user and password",
            );
        }
        if code == Code::Resolve {
            return Self::new(
                format!("a host name of {brokers} is not known ({reason})"),
                "correct --kafka-brokers (KAFKA_BROKERS), or the brokers' advertised.listeners",
            );
        }
        if UNAUTHORISED.contains(&code) {
            return Self::new(
                format!("Kafka does not authorise this ({reason})"),
                "have its administrator grant what `outbox-relay doctor` lists",
            );
        }
        if Self::is_telling(code) {
            return Self::new(format!("Kafka refuses ({reason})"), "see the broker's log");
        }
        Self::new(
            format!("no Kafka broker answers at {brokers} ({reason})"),
            "start it, or correct --kafka-brokers (KAFKA_BROKERS) and, where it wants them, TLS and credentials",
        )
    }

    /// Why a source's progress is not known.
    pub(crate) fn of_progress(error: &ReadProgressError, brokers: &str) -> Self {
        match error {
            ReadProgressError::Unreachable(fault) => fault.clone(),
            ReadProgressError::Kafka { source, .. } => Self::of_kafka(source, brokers, &[]),
            ReadProgressError::NoTopic(topic) => Self::new(
                format!("there is no progress topic {topic}"),
                "create it with `outbox-relay topics`",
            ),
            ReadProgressError::Silent(_) => Self::new(
                error.to_string(),
                "see whether all of Kafka's brokers are up, and whether a relay hangs",
            ),
            ReadProgressError::Undecided { .. } => Self::new(
                error.to_string(),
                "see whether a relay hangs; a transaction that hangs in Kafka itself is ended by the source's relay when it leads with \
                 --delivery exactly-once, or by `kafka-transactions.sh abort`",
            ),
            ReadProgressError::Decode(_) => Self::new(
                with_causes(error),
                "use the relay's newest version, or another progress topic after an audit",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_telling_report_counts_and_not_that_time_ran_out() {
        let timed_out = KafkaError::MetadataFetch(Code::BrokerTransportFailure);
        let down = (Code::AllBrokersDown, "1/1 brokers are down".to_owned());
        let fault = |report: Option<(Code, &str)>| {
            let report = report.map(|(code, reason)| (code, reason.to_owned()));
            let heard: Vec<(Code, String)> = report.into_iter().chain([down.clone()]).collect();
            Fault::of_kafka(&timed_out, "kafka:9092", &heard).to_string()
        };
        let cases = [
            (None, "no Kafka broker answers at kafka:9092"),
            (Some((Code::Authentication, "SASL")), "refuses the credentials"),
            (Some((Code::SSL, "certificate")), "do not agree on TLS"),
            (Some((Code::Resolve, "unknown host")), "is not known"),
        ];
        for (report, said) in cases {
            assert!(fault(report).contains(said), "{}", fault(report));
        }
    }
}
