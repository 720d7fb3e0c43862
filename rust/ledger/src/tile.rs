//! Tiles of a log and their names: C2SP tlog-tiles.
//!
//! ```text
//!   tile/entries/x001/x234/067        256 entries, each behind its length (u16, big-endian)
//!   tile/0/x001/x234/067              their 256 leaf hashes
//!   tile/1/004/…                      hashes of 256 full tiles of level 0 …
//!   tile/0/x001/x234/068.p/17         the rightmost tile of each level, while it is not full
//! ```

use crate::{
    LedgerError,
    files::UNFINISHED,
    tree::{Frontier, Hash},
};

/// Hashes or entries in a full tile.
pub(crate) const WIDTH: usize = 256;

/// Highest level a tile can have with 64-bit sizes.
const MAX_LEVEL: u32 = 7;

/// What a tile holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Entries,
    /// Hashes of this level; leaf hashes are level 0.
    Hashes(u32),
}

/// Which tile.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct TileId {
    pub(crate) kind: Kind,
    pub(crate) index: u64,
}

impl TileId {
    /// Path below the ledger directory of the tile when it holds `width` things.
    pub(crate) fn path(self, width: usize) -> String {
        let level = match self.kind {
            Kind::Entries => "entries".to_owned(),
            Kind::Hashes(level) => level.to_string(),
        };
        let groups = self.index.max(1).ilog(1000);
        let number = (0..=groups).rev().map(|group| {
            let mark = if group == 0 { "" } else { "x" };
            format!("/{mark}{:03}", self.index / 1000_u64.pow(group) % 1000)
        });
        let width = if width < WIDTH { format!(".p/{width}") } else { String::new() };
        format!("tile/{level}{}{width}", number.collect::<String>())
    }

    /// How many things the tile holds in a log of `size` entries.
    pub(crate) fn width_at(self, size: u64) -> usize {
        let level = match self.kind {
            Kind::Entries => 0,
            Kind::Hashes(level) => level,
        };
        let things = size.checked_shr(8 * level).unwrap_or(0);
        let before = self.index.saturating_mul(WIDTH as u64);
        usize::try_from(things.saturating_sub(before)).map_or(WIDTH, |rest| rest.min(WIDTH))
    }

    /// The partial tiles of a log of `size` entries, with their widths.
    pub(crate) fn partial_at(size: u64) -> impl Iterator<Item = (Self, usize)> {
        let kinds = (0..=MAX_LEVEL).map(Kind::Hashes).chain([Kind::Entries]);
        kinds
            .map(move |kind| {
                let level = if let Kind::Hashes(level) = kind { level } else { 0 };
                let id = Self { kind, index: size >> (8 * level) >> 8 };
                (id, id.width_at(size))
            })
            .filter(|(_, width)| *width > 0)
    }

    /// The tile, its width, and whether the file is still being written, from a path below the ledger
    /// directory. None for what no tile is called.
    pub(crate) fn parse(path: &str) -> Option<(Self, usize, bool)> {
        let (name, unfinished) = match path.strip_suffix(UNFINISHED) {
            Some(name) => (name, true),
            None => (path, false),
        };
        let (number, width) = match name.rsplit_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (name, WIDTH),
        };
        let (level, number) = number.strip_prefix("tile/")?.split_once('/')?;
        let kind = match level {
            "entries" => Kind::Entries,
            level => Kind::Hashes(level.parse().ok().filter(|level| *level <= MAX_LEVEL)?),
        };
        let index = number.split('/').try_fold(0_u64, |index, group| {
            let digits = group.strip_prefix('x').unwrap_or(group).parse::<u64>().ok()?;
            index.checked_mul(1000)?.checked_add(digits)
        })?;
        let id = Self { kind, index };
        // One tile has one name: leading zeros, missing marks and the like do not come back the same.
        (width > 0 && id.path(width) == name).then_some((id, width, unfinished))
    }
}

/// A tile as far as it is filled.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) id: TileId,
    bytes: Vec<u8>,
    /// Where each thing ends in `bytes`.
    ends: Vec<usize>,
}

impl Tile {
    fn new(kind: Kind) -> Self {
        Self { id: TileId { kind, index: 0 }, bytes: Vec::new(), ends: Vec::new() }
    }

    pub(crate) fn width(&self) -> usize {
        self.ends.len()
    }

    /// The tile's bytes when it held `width` things; `width` is at most [`Self::width`].
    pub(crate) fn at(&self, width: usize) -> &[u8] {
        let end = width.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.bytes.get(..end).unwrap_or(&self.bytes)
    }

    /// Which of its things holds the byte at `offset`.
    pub(crate) fn thing_at(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end <= offset)
    }

    fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push(self.bytes.len());
    }

    fn next(&mut self) {
        self.id.index += 1;
        self.bytes.clear();
        self.ends.clear();
    }

    /// Root of the perfect subtree that a full tile of hashes is.
    fn root(&self) -> Hash {
        self.bytes.as_chunks().0.iter().copied().collect::<Frontier>().root()
    }
}

/// The rightmost tile of entries and of each level, as a log grows.
#[derive(Clone, Debug)]
pub(crate) struct Tiles {
    entries: Tile,
    levels: Vec<Tile>,
}

impl Default for Tiles {
    fn default() -> Self {
        Self { entries: Tile::new(Kind::Entries), levels: Vec::new() }
    }
}

impl Tiles {
    /// Adds an entry and its leaf hash; `full` takes each tile that this fills.
    pub(crate) fn push(
        &mut self,
        entry: &[u8],
        leaf: Hash,
        full: &mut dyn FnMut(&Tile) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let length =
            u16::try_from(entry.len()).map_err(|_| LedgerError::entry("it is too long"))?;
        self.entries.push(&[&length.to_be_bytes(), entry]);
        if self.entries.width() == WIDTH {
            full(&self.entries)?;
            self.entries.next();
        }
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                let level = u32::try_from(level).unwrap_or(MAX_LEVEL);
                self.levels.push(Tile::new(Kind::Hashes(level)));
            }
            let Some(tile) = self.levels.get_mut(level) else { break };
            tile.push(&[&hash]);
            if tile.width() < WIDTH {
                break;
            }
            full(tile)?;
            hash = tile.root();
            tile.next();
        }
        Ok(())
    }

    /// The tiles that are begun and not full.
    pub(crate) fn partial(&self) -> impl Iterator<Item = &Tile> {
        std::iter::once(&self.entries).chain(&self.levels).filter(|tile| tile.width() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(level: u32, index: u64) -> TileId {
        TileId { kind: Kind::Hashes(level), index }
    }

    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!(hashes(0, 1_234_067).path(WIDTH), "tile/0/x001/x234/067");
        assert_eq!(hashes(1, 0).path(17), "tile/1/000.p/17");
        assert_eq!(hashes(1, 1000).path(WIDTH), "tile/1/x001/000");
    }

    #[test]
    fn names_come_back_and_only_in_one_form() {
        for index in [0, 1, 999, 1000, 999_999, 1_000_000, u64::MAX] {
            let path = hashes(3, index).path(9);

            assert_eq!(TileId::parse(&path), Some((hashes(3, index), 9, false)), "{path}");
        }
        for wrong in [
            "tile/0/1",
            "tile/00/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/8/001",
            "tile/x/001",
            "tile/0",
            "entries/001",
            "tile/0/001.p/+7",
        ] {
            assert_eq!(TileId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_specifications_log_of_70000_has_its_tiles() {
        assert_eq!(hashes(0, 272).width_at(70_000), 256);
        assert_eq!(hashes(0, 273).width_at(70_000), 112);
        assert_eq!(hashes(0, 274).width_at(70_000), 0);
        assert_eq!(hashes(1, 1).width_at(70_000), 17);
        assert_eq!(hashes(2, 0).width_at(70_000), 1);
        assert_eq!(hashes(1, 0).width_at(256), 1);
    }

    #[test]
    fn a_growing_log_fills_its_tiles_as_the_widths_say() {
        let mut tiles = Tiles::default();
        let mut full = Vec::new();

        for _ in 0..66_000 {
            tiles
                .push(b"", [0; 32], &mut |tile| {
                    full.push(tile.id);
                    Ok(())
                })
                .unwrap();
        }

        assert_eq!(full.len(), 257 + 257 + 1);
        for tile in tiles.partial() {
            assert_eq!(tile.width(), tile.id.width_at(66_000), "{:?}", tile.id);
        }
    }
}
