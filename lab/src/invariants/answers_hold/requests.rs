//! The calls that are one request: what all of them together were told.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    audit::{Snapshot, Violation},
    history::{Answer, Command, History, Reply},
};

/// A `request_id` and the calls that were made with it.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) id: Uuid,
    /// What was asked for; where one id was used for several things, what succeeded, else the first.
    pub(super) command: &'a Command,
    /// What callers were told of its success: once each.
    pub(super) replies: Vec<&'a Reply>,
    /// Whether nobody knows of some call what came of it.
    pub(super) unknown: bool,
    /// The reasons of the refusals.
    pub(super) refusals: Vec<&'a str>,
}

/// The requests of a history: of its commands that have an id.
pub(super) fn of(history: &History) -> Vec<Request<'_>> {
    let mut requests: BTreeMap<Uuid, Request<'_>> = BTreeMap::new();
    for call in &history.invocations {
        let Some(id) = id_of(&call.command) else { continue };
        let request = requests.entry(id).or_insert(Request {
            id,
            command: &call.command,
            replies: Vec::new(),
            unknown: false,
            refusals: Vec::new(),
        });
        match &call.answer {
            Answer::Ok(reply) => {
                request.command = &call.command;
                if !request.replies.contains(&reply) {
                    request.replies.push(reply);
                }
            }
            Answer::Refused { reason, .. } => request.refusals.push(reason),
            Answer::Unknown => request.unknown = true,
        }
    }
    requests.into_values().collect()
}

fn id_of(command: &Command) -> Option<Uuid> {
    match command {
        Command::CreateOrder { request_id, .. }
        | Command::SetStock { request_id, .. }
        | Command::AdjustStock { request_id, .. } => Some(*request_id),
        Command::CancelOrder { .. } | Command::ProcessPayment { .. } => None,
    }
}

impl<'a> Request<'a> {
    /// What the request has led to, as far as anybody knows: what a caller was told, or what the service has kept.
    pub(super) fn outcome(&self, snapshot: &'a Snapshot) -> Option<&'a Reply> {
        self.replies.first().copied().or_else(|| snapshot.answers.get(&self.id))
    }

    /// Whether every call was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.replies.is_empty() && !self.unknown && !self.refusals.is_empty()
    }

    /// Answers that cannot all be true: several to one request, another than the one that is kept, or a refusal of what was
    /// carried out.
    pub(super) fn contradiction(&self, snapshot: &Snapshot) -> Option<Violation> {
        let kept = snapshot.answers.get(&self.id);
        let says = match (self.replies.as_slice(), kept) {
            ([], Some(kept)) if self.is_refused() => {
                format!("was refused ({}), and was carried out: {kept:?}", self.refusals.join(", "))
            }
            ([told], Some(kept)) if *told != kept => {
                format!("was answered {told:?}, and {kept:?} is kept")
            }
            ([] | [_], _) => return None,
            ([first, second, ..], _) => format!("was answered {first:?} and {second:?}"),
        };
        Some(Violation::new(None, format!("request {} {says}", self.id)))
    }
}
