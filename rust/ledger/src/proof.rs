//! Inclusion and consistency proofs: RFC 6962, sections 2.1.1 and 2.1.2; their verification: RFC 9162,
//! sections 2.1.3.2 and 2.1.4.2.

use crate::{
    LedgerError,
    tree::{Hash, join, node_hash},
};

/// Where the hashes of a tree's perfect subtrees come from.
pub trait Nodes {
    /// Leaves in the tree.
    fn size(&self) -> u64;

    /// Root of the `index`-th perfect subtree of 2^`height` leaves.
    fn node(&self, height: u32, index: u64) -> Result<Hash, LedgerError>;
}

/// Root of the tree of the first `size` leaves.
pub fn root_at(nodes: &impl Nodes, size: u64) -> Result<Hash, LedgerError> {
    within(nodes, size)?;
    range_root(nodes, 0, size)
}

/// Hashes that lead from leaf `index` to the root of the first `size` leaves, bottom first.
///
/// # Errors
///
/// [`LedgerError::Proof`] when the tree has no such leaf or size, else what `nodes` answers.
pub fn inclusion_proof(
    nodes: &impl Nodes,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, LedgerError> {
    if index >= size {
        return Err(LedgerError::Proof { reason: "the leaf is not in the tree" });
    }
    within(nodes, size)?;
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Hashes that show that the tree of `old` leaves is a prefix of the tree of `new` leaves. Empty for
/// equal sizes, and for an empty old tree, which is a prefix of any.
///
/// # Errors
///
/// [`LedgerError::Proof`] when `old` is beyond `new` or `new` beyond the tree, else what `nodes` answers.
pub fn consistency_proof(nodes: &impl Nodes, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
    if old > new {
        return Err(LedgerError::Proof { reason: "the old tree is larger than the new one" });
    }
    within(nodes, new)?;
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // The whole old tree needs no hash: the verifier knows its root.
    if start != 0 {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks an inclusion proof.
///
/// # Errors
///
/// [`LedgerError::Proof`] when it does not lead from `leaf` to `root`.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), LedgerError> {
    if index >= size {
        return Err(LedgerError::Proof { reason: "the leaf is not in the tree" });
    }
    let (mut position, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for step in proof {
        if last == 0 {
            return Err(LedgerError::Proof { reason: "the path is too long" });
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(step, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(LedgerError::Proof { reason: "the path is too short" });
    }
    same(&hash, root, "the path leads to another root")
}

/// Checks a consistency proof.
///
/// # Errors
///
/// [`LedgerError::Proof`] when the tree with `old_root` is not shown to be a prefix of the other.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), LedgerError> {
    if old > new {
        return Err(LedgerError::Proof { reason: "the old tree is larger than the new one" });
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(LedgerError::Proof { reason: "the path is too long" });
        }
        return match old {
            0 => same(old_root, &crate::empty_root(), "the old root is not that of an empty tree"),
            _ => same(old_root, new_root, "trees of one size have two roots"),
        };
    }
    let mut path = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else {
        return Err(LedgerError::Proof { reason: "the path is too short" });
    };
    let (mut position, mut last) = (old - 1, new - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for step in path {
        if last == 0 {
            return Err(LedgerError::Proof { reason: "the path is too long" });
        }
        if position & 1 == 1 || position == last {
            old_hash = node_hash(step, &old_hash);
            new_hash = node_hash(step, &new_hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(LedgerError::Proof { reason: "the path is too short" });
    }
    same(&old_hash, old_root, "the path leads to another old root")?;
    same(&new_hash, new_root, "the path leads to another new root")
}

fn within(nodes: &impl Nodes, size: u64) -> Result<(), LedgerError> {
    if size <= nodes.size() {
        Ok(())
    } else {
        Err(LedgerError::Proof { reason: "the tree is smaller than that" })
    }
}

fn same(one: &Hash, other: &Hash, reason: &'static str) -> Result<(), LedgerError> {
    if one == other { Ok(()) } else { Err(LedgerError::Proof { reason }) }
}

/// Largest power of two below `width`, which is at least 2.
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// Root of the leaves `start..end`, where `start` is aligned as RFC 6962's recursion leaves it: each
/// perfect subtree of the range, largest first, begins at a multiple of its width.
fn range_root(nodes: &impl Nodes, start: u64, end: u64) -> Result<Hash, LedgerError> {
    let mut subtrees = Vec::new();
    let mut at = start;
    while at < end {
        let height = (end - at).ilog2();
        subtrees.push(nodes.node(height, at >> height)?);
        at += 1 << height;
    }
    Ok(join(&subtrees))
}
