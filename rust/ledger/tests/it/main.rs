//! The ledger as its users see it: what is acknowledged stays, and what is changed is found.

#[cfg(test)]
mod appending;
#[cfg(test)]
mod common;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod recovery;
