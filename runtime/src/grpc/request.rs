//! Reading a request: every wrong field is found before the caller is answered, so that one answer names them all.

use std::{fmt::Display, ops::RangeInclusive};

use tonic::metadata::MetadataMap;
use tonic_types::FieldViolation;
use uuid::Uuid;

/// A request with wrong fields, all of them.
#[derive(Debug, thiserror::Error)]
#[error("the request has {} wrong field(s)", .0.len())]
pub struct InvalidRequest(pub Vec<FieldViolation>);

/// The wrong fields found so far.
///
/// Check each field, keep the `Option`s, and [`finish`](Self::finish) with what they make together:
/// ```
/// # use runtime::grpc::request::Violations;
/// let mut violations = Violations::default();
/// let quantity = violations.check("quantity", "7".parse::<i32>());
/// let name = violations.text("name", "Laptop", 1..=200);
/// let parsed = violations.finish(|| Some((quantity?, name?)));
/// assert!(parsed.is_ok());
/// ```
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes that `field` is wrong; `description` says what it must be.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field, description));
    }

    /// Passes a good value on and notes a bad one.
    pub fn check<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// Passes a text on whose number of characters is in `length` and that has no control characters.
    pub fn text(
        &mut self,
        field: &str,
        text: &str,
        length: RangeInclusive<usize>,
    ) -> Option<String> {
        let count = text.chars().count();
        if !length.contains(&count) {
            let (least, most) = length.into_inner();
            self.add(field, format!("must have {least} to {most} characters, has {count}"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.add(field, "must have no control characters");
            return None;
        }
        Some(text.to_owned())
    }

    /// Reads the id that makes a request safe to repeat: the field `request_id`, or the metadata `idempotency-key`.
    /// `Some(None)` if there is neither. Both may be given if they are equal.
    pub fn request_id(&mut self, metadata: &MetadataMap, field: &str) -> Option<Option<Uuid>> {
        let key = metadata.get("idempotency-key").map(|key| key.to_str().unwrap_or("?"));
        let text = match (field, key) {
            ("", None) => return Some(None),
            ("", Some(key)) => key,
            (field, None) => field,
            (field, Some(key)) if field.eq_ignore_ascii_case(key) => field,
            (_, Some(_)) => {
                self.add("request_id", "differs from the metadata idempotency-key");
                return None;
            }
        };
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == uuid::fmt::Hyphenated::LENGTH => Some(Some(id)),
            _ => {
                self.add("request_id", "must be a UUID of 36 characters");
                None
            }
        }
    }

    /// Makes the whole of the checked fields.
    ///
    /// # Errors
    /// [`InvalidRequest`] with every violation noted.
    ///
    /// # Panics
    /// If nothing was noted and `whole` is still `None`: a check that failed must have noted why.
    pub fn finish<T>(self, whole: impl FnOnce() -> Option<T>) -> Result<T, InvalidRequest> {
        if !self.0.is_empty() {
            return Err(InvalidRequest(self.0));
        }
        Ok(whole().expect("a field that is missing has been noted as a violation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let mut violations = Violations::default();
        let quantity = violations.check("quantity", "x".parse::<i32>());
        let name = violations.text("name", "a\0b", 1..=200);
        let InvalidRequest(found) = violations.finish(|| Some((quantity?, name?))).unwrap_err();
        let fields: Vec<_> = found.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["quantity", "name"]);
    }

    #[test]
    fn the_request_id_may_come_as_metadata() {
        let id = Uuid::now_v7();
        let mut metadata = MetadataMap::new();
        metadata.insert("idempotency-key", id.to_string().parse().unwrap());
        let mut violations = Violations::default();
        assert_eq!(violations.request_id(&metadata, ""), Some(Some(id)));
        assert_eq!(violations.request_id(&metadata, &id.to_string()), Some(Some(id)));
        assert_eq!(violations.request_id(&MetadataMap::new(), ""), Some(None));
        assert_eq!(violations.request_id(&metadata, &Uuid::now_v7().to_string()), None);
        assert_eq!(violations.request_id(&MetadataMap::new(), "1"), None);
    }
}
