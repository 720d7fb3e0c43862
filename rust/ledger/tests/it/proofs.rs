//! Proofs against a naive reading of RFC 6962, and from a real directory.

use proptest::prelude::*;
use serde_json::json;
use snowgate_ledger::{
    Frontier, Hash, LedgerError, Nodes, TileDir, VerifyingKey, consistency_proof, empty_root,
    inclusion_proof, leaf_hash, node_hash, root_at, verify_consistency, verify_inclusion,
};

use crate::common::*;

/// RFC 6962, section 2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// RFC 6962, section 2.1.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (mut below, beside) = if m < k {
        (path(m, &leaves[..k]), mth(&leaves[k..]))
    } else {
        (path(m - k, &leaves[k..]), mth(&leaves[..k]))
    };
    below.push(beside);
    below
}

/// RFC 6962, section 2.1.2.
fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (mut below, beside) = if m <= k {
        (subproof(m, &leaves[..k], whole), mth(&leaves[k..]))
    } else {
        (subproof(m - k, &leaves[k..], false), mth(&leaves[..k]))
    };
    below.push(beside);
    below
}

struct Leaves(Vec<Hash>);

impl Nodes for Leaves {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn node(&self, height: u32, index: u64) -> Result<Hash, LedgerError> {
        let (start, width) = (usize::try_from(index << height).unwrap(), 1 << height);
        Ok(mth(&self.0[start..start + width]))
    }
}

fn leaves(count: usize) -> Leaves {
    Leaves((0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_growing_tree_has_the_naive_root(count in 0_usize..300) {
        let tree: Frontier = leaves(count).0.into_iter().collect();

        prop_assert_eq!(tree.root(), mth(&leaves(count).0));
        prop_assert_eq!(root_at(&leaves(count), count as u64).unwrap(), tree.root());
    }

    #[test]
    fn inclusion_proofs_are_the_naive_ones_and_verify(
        (count, index) in (1_usize..300).prop_flat_map(|count| (Just(count), 0..count)),
    ) {
        let all = leaves(count);
        let (size, at) = (count as u64, index as u64);
        let root = mth(&all.0);

        let proof = inclusion_proof(&all, at, size).unwrap();

        prop_assert_eq!(&proof, &path(index, &all.0));
        verify_inclusion(&all.0[index], at, size, &proof, &root).unwrap();
        prop_assert!(verify_inclusion(&[0; 32], at, size, &proof, &root).is_err());
        for step in 0..proof.len() {
            let mut changed = proof.clone();
            changed[step][0] ^= 1;
            prop_assert!(verify_inclusion(&all.0[index], at, size, &changed, &root).is_err());
            prop_assert!(verify_inclusion(&all.0[index], at, size, &proof[..step], &root).is_err());
        }
        let longer = [proof.as_slice(), &[[0; 32]]].concat();
        prop_assert!(verify_inclusion(&all.0[index], at, size, &longer, &root).is_err());
    }

    #[test]
    fn consistency_proofs_are_the_naive_ones_and_verify(
        (new, old) in (1_usize..300).prop_flat_map(|new| (Just(new), 1..=new)),
    ) {
        let all = leaves(new);
        let (first, second) = (mth(&all.0[..old]), mth(&all.0));
        let (old_size, new_size) = (old as u64, new as u64);

        let proof = consistency_proof(&all, old_size, new_size).unwrap();

        prop_assert_eq!(&proof, &subproof(old, &all.0, true));
        verify_consistency((old_size, &first), (new_size, &second), &proof).unwrap();
        prop_assert!(verify_consistency((old_size, &[0; 32]), (new_size, &second), &proof).is_err());
        prop_assert!(verify_consistency((old_size, &first), (new_size, &[0; 32]), &proof).is_err());
        for step in 0..proof.len() {
            let mut changed = proof.clone();
            changed[step][0] ^= 1;
            let pair = ((old_size, &first), (new_size, &second));
            prop_assert!(verify_consistency(pair.0, pair.1, &changed).is_err());
            prop_assert!(verify_consistency(pair.0, pair.1, &proof[..step]).is_err());
        }
    }
}

#[test]
fn a_published_ledger_proves_its_entries() {
    let home = Home::new();
    let ledger = home.open();
    let count = 256 * 3 + 5_u64;
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..count {
        let sender = sender.clone();
        ledger.append(entry("heartbeat", &json!({"n": number})), move |result| {
            sender.send(result.unwrap()).unwrap();
        });
    }
    assert_eq!(receiver.iter().take(773).count(), 773);
    ledger.close().unwrap();
    let key = VerifyingKey::parse(&home.vkey()).unwrap();
    let tiles = TileDir::open(home.dir(), &key).unwrap();
    let (size, root) = (tiles.checkpoint().size, tiles.checkpoint().root);
    let entries: Vec<_> =
        snowgate_ledger::Reader::open(&home.dir(), 0).unwrap().map(Result::unwrap).collect();

    for index in [0, 1, 255, 256, 511, 700, 767, 768, 772] {
        let leaf = leaf_hash(&entries[usize::try_from(index).unwrap()].json);
        let proof = inclusion_proof(&tiles, index, size).unwrap();
        verify_inclusion(&leaf, index, size, &proof, &root).unwrap();
        let old = index + 1;
        let proof = consistency_proof(&tiles, old, size).unwrap();
        verify_consistency((old, &root_at(&tiles, old).unwrap()), (size, &root), &proof).unwrap();
    }
    assert_eq!(size, count);
    let text = String::from_utf8(tiles.prove(700).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let steps = inclusion_proof(&tiles, 700, size).unwrap().len();
    assert_eq!(&lines[..2], ["c2sp.org/tlog-proof@v1", "index 700"]);
    assert_eq!((lines[2 + steps], lines[3 + steps]), ("", ORIGIN));
    assert!(text.ends_with(&home.verify().unwrap().checkpoint));
    assert!(inclusion_proof(&tiles, size, size + 1).is_err());
}
