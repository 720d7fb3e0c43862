//! Durable files: nothing here returns before the bytes and the names are on disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::LedgerError;

/// Ending of a file that is being written; it is renamed once complete.
pub(crate) const UNFINISHED: &str = ".new";

pub(crate) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> LedgerError + use<> {
    let path = path.display().to_string();
    move |error| LedgerError::Io { action, path, reason: error.to_string() }
}

/// Reads a file that somebody else may have put there: neither a link nor a device, and not more than
/// `most` bytes and one, so that what is longer is not taken for what it should be.
pub(crate) fn read_regular(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", dir))
}

/// Makes `dir` and its parents, private to this user, durably.
pub(crate) fn make_dirs(dir: &Path) -> Result<(), LedgerError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_dirs(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("create", dir)(error))
        }
        _ => sync_dir(parent_of(dir)),
    }
}

/// Writes a whole file under its name in one step: readers see the old one, or the new one complete.
/// A failure leaves nothing of the new one.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<File, LedgerError> {
    let parent = parent_of(path);
    make_dirs(parent)?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let written = write_as(&unfinished, path, bytes, mode);
    if written.is_err() {
        // On a full disk each attempt would leave another.
        let _ = fs::remove_file(&unfinished);
    }
    let file = written?;
    sync_dir(parent)?;
    Ok(file)
}

fn write_as(unfinished: &Path, path: &Path, bytes: &[u8], mode: u32) -> Result<File, LedgerError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(unfinished)
        .map_err(failed("create", unfinished))?;
    file.write_all(bytes).map_err(failed("write", unfinished))?;
    file.sync_all().map_err(failed("sync", unfinished))?;
    fs::rename(unfinished, path).map_err(failed("rename", unfinished))?;
    Ok(file)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("day").join("a.key");
        fs::create_dir_all(&path).unwrap();

        assert!(write(&path, b"key", 0o600).is_err());

        assert_eq!(fs::read_dir(dir.path().join("day")).unwrap().count(), 1);
    }
}
