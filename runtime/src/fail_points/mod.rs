//! Named places at which a process can be made to fail on purpose, so that a test decides where it is killed.
//!
//! They are compiled in always and do nothing unless the process was started with a plan: `--fail-points NAME=ACTION[@HIT],…`.
//! [`road`] names those on the road of an order.

pub mod road;

use std::{
    process,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thiserror::Error;

static PLAN: OnceLock<Vec<Armed>> = OnceLock::new();

/// What happens at a fail point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process dies at once, as by SIGKILL: nothing is flushed, nothing said.
    Abort,
    /// The process ends with code 3.
    Exit,
    /// The task waits for ever.
    Pause,
    /// The step fails.
    Error,
    /// The task waits so long, each time.
    Delay(Duration),
}

/// A fail point and what is to happen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailPoint {
    name: String,
    action: Action,
    /// The first passage at which it happens, from 1.
    hit: u64,
}

struct Armed {
    point: FailPoint,
    hits: AtomicU64,
}

/// A step was made to fail.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("fail point {0} was reached")]
pub struct Injected(&'static str);

/// As the database's failure: what it is where a step is about the database. It counts as passing.
impl From<Injected> for sqlx::Error {
    fn from(injected: Injected) -> Self {
        Self::Io(std::io::Error::other(injected))
    }
}

/// Why a fail point is not understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// The text has another form.
    #[error(
        "`{0}` is not NAME=ACTION or NAME=ACTION@HIT, an action being abort, exit, pause, error or delay(MILLISECONDS)"
    )]
    Form(String),
    /// The process does not come by there.
    #[error("`{name}` is no fail point of this process, which has {}", has.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        has: &'static [&'static str],
    },
}

impl FailPoint {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What parses the fail points of a process that has these.
    pub fn of(
        has: &'static [&'static str],
    ) -> impl Fn(&str) -> Result<Self, ParseError> + Clone + Send + Sync + 'static {
        move |text| {
            let point: Self = text.parse()?;
            if has.contains(&point.name()) {
                Ok(point)
            } else {
                Err(ParseError::Unknown { name: point.name, has })
            }
        }
    }
}

impl FromStr for FailPoint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::Form(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<FailPoint> {
    let (name, what) = text.split_once('=')?;
    let (action, hit) = match what.split_once('@') {
        Some((action, hit)) => (action, hit.parse().ok().filter(|hit| *hit > 0)?),
        None => (what, 1),
    };
    let action = match action {
        "abort" => Action::Abort,
        "exit" => Action::Exit,
        "pause" => Action::Pause,
        "error" => Action::Error,
        other => {
            let milliseconds = other.strip_prefix("delay(")?.strip_suffix(')')?;
            Action::Delay(Duration::from_millis(milliseconds.parse().ok()?))
        }
    };
    (!name.is_empty()).then(|| FailPoint { name: name.to_owned(), action, hit })
}

/// Arms the points of this process, once, at its start.
pub fn arm(points: &[FailPoint]) {
    let armed = points.iter().cloned().map(|point| Armed { point, hits: AtomicU64::new(0) });
    if !points.is_empty() && PLAN.set(armed.collect()).is_ok() {
        tracing::warn!(?points, "fail points are armed: this process will fail on purpose");
    }
}

/// Passes the fail point `name`.
///
/// # Errors
/// [`Injected`] where the step was told to fail.
pub async fn pass(name: &'static str) -> Result<(), Injected> {
    let Some(plan) = PLAN.get() else { return Ok(()) };
    for armed in plan.iter().filter(|armed| armed.point.name == name) {
        let hit = armed.hits.fetch_add(1, Ordering::Relaxed) + 1;
        if hit == armed.point.hit {
            tracing::warn!(fail_point = name, action = ?armed.point.action, "failing on purpose");
        }
        match armed.point.action {
            Action::Delay(duration) if hit >= armed.point.hit => tokio::time::sleep(duration).await,
            Action::Abort if hit == armed.point.hit => process::abort(),
            Action::Exit if hit == armed.point.hit => process::exit(3),
            Action::Pause if hit == armed.point.hit => std::future::pending().await,
            Action::Error if hit == armed.point.hit => return Err(Injected(name)),
            Action::Delay(_) | Action::Abort | Action::Exit | Action::Pause | Action::Error => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_fail_points_of_its_own_road_only() {
        let payments = FailPoint::of(&road::PAYMENTS);
        for name in road::PAYMENTS {
            assert_eq!(payments(&format!("{name}=abort")).unwrap().name(), name);
        }
        for name in ["nowhere", road::RELAY_READ, road::CREATE_ORDER.committed] {
            let told = payments(&format!("{name}=abort")).unwrap_err().to_string();
            let begins =
                format!("`{name}` is no fail point of this process, which has consumer.received, ");
            assert!(told.starts_with(&begins), "{told}");
        }
        assert!(matches!(payments("worker.called"), Err(ParseError::Form(_))));
    }

    #[test]
    fn a_fail_point_is_a_name_an_action_and_a_passage() {
        let point = |text: &str| text.parse::<FailPoint>();
        assert_eq!(
            point("relay.read=abort@37"),
            Ok(FailPoint { name: "relay.read".into(), action: Action::Abort, hit: 37 })
        );
        let delay = Action::Delay(Duration::from_millis(20));
        assert_eq!(point("a=delay(20)"), Ok(FailPoint { name: "a".into(), action: delay, hit: 1 }));
        for wrong in ["a", "=abort", "a=explode", "a=abort@0", "a=delay(x)", "a=abort@"] {
            assert_eq!(point(wrong), Err(ParseError::Form(wrong.to_owned())));
        }
    }

    #[tokio::test]
    async fn a_step_fails_at_its_passage_only() {
        arm(&["here=error@2".parse().unwrap()]);
        assert_eq!(pass("here").await, Ok(()));
        assert_eq!(pass("elsewhere").await, Ok(()));
        assert_eq!(pass("here").await, Err(Injected("here")));
        assert_eq!(pass("here").await, Ok(()));
    }
}
