//! When a ledger is not opened, and what to do then: it is not the one that is meant (F22), or it is not
//! this gateway's to write.

use std::{fs, fs::File, io::ErrorKind, path::Path};

use rustix::fs::{FlockOperation, flock};

use crate::{
    Known, LedgerError, Settings,
    batch::{Listing, SEGMENTS, segment_name},
    check::Checked,
    files::{UNFINISHED, failed},
    note::Signer,
};

/// Whether the directory holds anything but the beginning of a ledger that a crash cut short.
pub(crate) fn is_begun(dir: &Path) -> Result<bool, LedgerError> {
    let listing = match fs::read_dir(dir) {
        Ok(files) => files.filter_map(Result::ok).map(|file| file.file_name()).collect::<Vec<_>>(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("list", dir)(error)),
    };
    if listing.iter().any(|name| name != SEGMENTS) {
        return Ok(true);
    }
    let first = segment_name(0) + UNFINISHED;
    Ok(!listing.is_empty() && {
        let Listing { segments, unfinished } = Listing::read(dir)?;
        !segments.is_empty() || unfinished.iter().any(|name| *name != first)
    })
}

/// F22: an empty directory may only become a ledger of which nothing is known.
pub(crate) fn unless_new(settings: &Settings) -> Result<(), LedgerError> {
    let dir = settings.dir.display();
    if let Some(known) = &settings.known {
        return Err(LedgerError::Refused {
            problem: format!(
                "the ledger `{dir}` is empty, but {} entries of it are known",
                known.size
            ),
            remedy:
                "restore the directory from its copy; if it is lost, keep the state that knows of \
                     it as evidence, and begin a ledger of another origin"
                    .to_owned(),
        });
    }
    if !settings.create {
        return Err(LedgerError::Refused {
            problem: format!("there is no ledger in `{dir}`"),
            remedy: "create it, or mend the path".to_owned(),
        });
    }
    Ok(())
}

/// F22: a ledger must still hold what was known of it.
pub(crate) fn unless_known(
    known: &Known,
    checked: &Checked,
    dir: &Path,
) -> Result<(), LedgerError> {
    let size = checked.tree.size();
    let problem = if known.size > size {
        format!("the ledger `{}` holds {size} entries, but {} are known", dir.display(), known.size)
    } else if checked.root_at.map(hex::encode).as_deref() != Some(&known.root) {
        format!(
            "the first {} entries of the ledger `{}` are not those that are known",
            known.size,
            dir.display()
        )
    } else {
        return Ok(());
    };
    let remedy =
        "restore the newest copy of the directory; entries after it are lost, which is to be \
                  investigated"
            .to_owned();
    Err(LedgerError::Refused { problem, remedy })
}

/// Locks the directory: two writers would fork the log.
pub(crate) fn unless_alone(dir: &Path) -> Result<File, LedgerError> {
    let file = File::open(dir).map_err(failed("open", dir))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| LedgerError::Refused {
        problem: format!("the ledger `{}` is open in another gateway", dir.display()),
        remedy: "stop that one, or give this one a data directory and a name of its own".to_owned(),
    })?;
    Ok(file)
}

/// A file in the ledger directory that is not the ledger's would fail every verification.
pub(crate) fn if_inside(dir: &Path, path: &Path) -> Result<(), LedgerError> {
    let dir = dir.canonicalize().map_err(failed("find", dir))?;
    let path = std::path::absolute(path).map_err(failed("find", path))?;
    let real = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if real.is_some_and(|real| real.starts_with(&dir)) {
        return Err(LedgerError::Refused {
            problem: format!("`{}` lies inside the ledger", path.display()),
            remedy: "keep keys outside the directory of the ledger".to_owned(),
        });
    }
    Ok(())
}

/// The signing key; a new one only for a new ledger.
pub(crate) fn unless_signer(settings: &Settings, begun: bool) -> Result<Signer, LedgerError> {
    let Settings { key_file, origin, create, .. } = settings;
    let missing = !key_file.exists();
    if missing && (begun || !create) {
        return Err(LedgerError::Refused {
            problem: format!("the signing key `{}` of the ledger is missing", key_file.display()),
            remedy: "restore the key; a ledger cannot be continued with another".to_owned(),
        });
    }
    let signer =
        if missing { Signer::create(key_file, origin) } else { Signer::load(key_file, origin) }?;
    signer.publish(key_file)?;
    Ok(signer)
}
