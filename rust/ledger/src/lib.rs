//! Append-only signed Merkle log.
