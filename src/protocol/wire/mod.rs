//! Structs in the exact shape of the wire, one module a version of the protocol.

pub mod v4;
