//! Numbers in LEB128, and what else the records are made of. Bytes that end too early, or say too much, are damaged.

use uuid::Uuid;

use crate::core::progress::DecodeError;

pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

pub(super) fn take(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Damaged)
}

pub(super) fn take_byte(bytes: &mut &[u8]) -> Result<u8, DecodeError> {
    let (&first, rest) = bytes.split_first().ok_or(DecodeError::Damaged)?;
    *bytes = rest;
    Ok(first)
}

pub(super) fn take_uuid(bytes: &mut &[u8]) -> Result<Uuid, DecodeError> {
    let (uuid, rest) = bytes.split_first_chunk::<16>().ok_or(DecodeError::Damaged)?;
    *bytes = rest;
    Ok(Uuid::from_bytes(*uuid))
}

pub(super) fn add(base: i64, distance: u64) -> Result<i64, DecodeError> {
    base.checked_add_unsigned(distance).ok_or(DecodeError::Damaged)
}
