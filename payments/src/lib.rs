//! Payments.
pub mod domain;
pub mod provider;
