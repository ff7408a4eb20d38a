//! The tables of schema `payments`. Nothing is decided here.

pub mod payments;
mod row;
