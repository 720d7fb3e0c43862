//! Opens a ledger, recovers it, and hands entries to its writer.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    LedgerError, NewEntry,
    batch::Tail,
    check::{Ask, Checked, Visit, check},
    files::{self, failed},
    note::{Signer, is_key_name},
    publisher::Publisher,
    refuse,
    text::{Kek, TextKeys},
    tile::TileId,
    tree::{Frontier, Hash},
    writer::{Message, Pace, Writer, open_segment},
};

/// Size at which the next segment is begun: a handful of files a day at a thousand entries a second,
/// each small enough to ship in one request.
pub const DEFAULT_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Half of the two seconds within which the checkpoint must cover an entry; the rest is for syncs.
pub const DEFAULT_CHECKPOINT_AFTER: Duration = Duration::from_secs(1);

/// Bytes of entries that may wait for the disk. Beyond it appends are refused, memory does not grow.
const MAX_WAITING_BYTES: usize = 256 * 1024 * 1024;

/// Batches that may wait to be published before the writer waits, too.
const UNPUBLISHED_BATCHES: usize = 64;

/// What was known of a ledger when it was last open: it must still hold that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// Entries.
    pub size: u64,
    /// Root over them, in hex.
    pub root: String,
}

/// How to open a ledger.
pub struct Settings {
    /// Directory of the ledger; nothing else may be in it.
    pub dir: PathBuf,
    /// Name of the log, and of its key.
    pub origin: String,
    /// Ed25519 signing key, PKCS#8 in PEM, outside `dir`. Its verifier key lies beside it: `ledger.pub`
    /// for `ledger.key`.
    pub key_file: PathBuf,
    /// Begin a new ledger, with a new key if there is none, where the directory is empty.
    pub create: bool,
    /// Directory of the keys of texts, outside `dir`.
    pub text_keys_dir: PathBuf,
    /// Wraps the keys of texts.
    pub kek: Kek,
    /// What the ledger must hold at least.
    pub known: Option<Known>,
    /// A segment that has this size is not continued.
    pub segment_bytes: u64,
    /// How long after an entry the published checkpoint covers it, at most.
    pub checkpoint_after: Duration,
}

impl Settings {
    /// Settings that create what is missing, know nothing yet, and have the default sizes.
    pub fn new(
        dir: impl Into<PathBuf>,
        origin: impl Into<String>,
        key_file: impl Into<PathBuf>,
        text_keys_dir: impl Into<PathBuf>,
        kek: Kek,
    ) -> Self {
        Self {
            dir: dir.into(),
            origin: origin.into(),
            key_file: key_file.into(),
            create: true,
            text_keys_dir: text_keys_dir.into(),
            kek,
            known: None,
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            checkpoint_after: DEFAULT_CHECKPOINT_AFTER,
        }
    }
}

/// State of an open ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Entries on disk.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// Why no entry is taken any more.
    pub poisoned: Option<String>,
}

/// What the handles and both threads share.
pub(crate) struct Shared {
    status: Mutex<Status>,
    waiting_bytes: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(size: u64, root: Hash) -> Self {
        let status = Status { size, root, poisoned: None };
        Self { status: Mutex::new(status), waiting_bytes: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().clone()
    }

    pub(crate) fn advance(&self, size: u64, root: Hash) {
        let mut status = self.lock();
        (status.size, status.root) = (size, root);
    }

    /// Refuses once poisoned.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        match &self.lock().poisoned {
            Some(reason) => Err(LedgerError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Stops the ledger for good; the first reason stays.
    pub(crate) fn poison(&self, error: &LedgerError) -> LedgerError {
        let mut status = self.lock();
        if status.poisoned.is_none() {
            tracing::error!(target: "snowgate::ledger", %error, "ledger poisoned");
        }
        let reason = status.poisoned.get_or_insert_with(|| error.to_string()).clone();
        LedgerError::Poisoned { reason }
    }
}

pub(crate) type Callback = Box<dyn FnOnce(Result<u64, LedgerError>) + Send>;

/// Tells the caller of an append how it went: exactly once, even if the writer is gone.
pub(crate) struct Done {
    callback: Option<Callback>,
    weight: usize,
    shared: Arc<Shared>,
}

impl Done {
    /// Counts `weight` bytes as waiting until it is called.
    pub(crate) fn new(shared: &Arc<Shared>, weight: usize, callback: Callback) -> Self {
        shared.waiting_bytes.fetch_add(weight, Ordering::Relaxed);
        Self { callback: Some(callback), weight, shared: Arc::clone(shared) }
    }

    pub(crate) fn call(mut self, result: Result<u64, LedgerError>) {
        self.once(result);
    }

    fn once(&mut self, result: Result<u64, LedgerError>) {
        if let Some(callback) = self.callback.take() {
            self.shared.waiting_bytes.fetch_sub(self.weight, Ordering::Relaxed);
            callback(result);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.once(Err(LedgerError::Closed));
    }
}

struct Handle {
    messages: Sender<Message>,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// An open ledger. Clones are handles on the same one.
#[derive(Clone)]
pub struct Ledger(Arc<Handle>);

impl Ledger {
    /// Opens a ledger, checks all of it, and recovers what a crash left. `visit` sees every entry.
    ///
    /// The directory stays locked until [`Ledger::close`], or until every handle is dropped.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Refused`] when the directory is not the ledger that is meant: emptied, shorter
    /// than known, of another origin, or open elsewhere (F22). [`LedgerError::Broken`] when it is
    /// damaged: recovery removes only a batch that was never acknowledged.
    pub fn open(settings: Settings, visit: Visit<'_>) -> Result<Self, LedgerError> {
        let dir = settings.dir.as_path();
        if !is_key_name(&settings.origin) {
            return Err(LedgerError::key("the origin may hold no spaces and no plus"));
        }
        if !dir.exists() {
            refuse::unless_new(&settings)?;
            files::make_dirs(dir)?;
        }
        let lock = refuse::unless_alone(dir)?;
        let begun = refuse::is_begun(dir)?;
        if !begun {
            refuse::unless_new(&settings)?;
        }
        for path in [&settings.key_file, &settings.text_keys_dir] {
            refuse::if_inside(dir, path)?;
        }
        let keys = TextKeys::open(&settings.text_keys_dir, &settings.kek)?;
        let signer = refuse::unless_signer(&settings, begun)?;
        if !begun {
            let root = Frontier::default().root();
            open_segment(dir, 0, &signer.sign(0, root)?)?;
        }
        let ask = Ask {
            key: signer.key(),
            root_at: settings.known.as_ref().map(|known| known.size),
            every_signature: false,
            recover: true,
        };
        let checked = check(dir, &ask, visit)?;
        if let Some(known) = &settings.known {
            refuse::unless_known(known, &checked, dir)?;
        }
        Self::start(settings, signer, keys, checked, lock)
    }

    /// Recovers and starts both threads.
    fn start(
        settings: Settings,
        signer: Signer,
        keys: TextKeys,
        checked: Checked,
        lock: File,
    ) -> Result<Self, LedgerError> {
        let Settings { dir, segment_bytes, checkpoint_after, .. } = settings;
        let Checked { tree, tiles, note, tail, published, .. } = checked;
        let file = truncate(&dir, &tail)?;
        let partial = TileId::partial_at(published.unwrap_or(0));
        let mut publisher = Publisher {
            dir: dir.clone(),
            tiles,
            partial: partial.map(|(id, width)| id.path(width)).collect(),
            note: (published != Some(tree.size())).then(|| note.clone()),
            checkpoint_after,
        };
        publisher.recover(&checked.missing, &checked.leftovers)?;

        let shared = Arc::new(Shared::new(tree.size(), tree.root()));
        let (messages, receiver) = mpsc::channel();
        let (committed, batches) = mpsc::sync_channel(UNPUBLISHED_BATCHES);
        let writer = Writer {
            dir,
            file,
            length: tail.committed_bytes,
            segment_bytes,
            tree,
            story: checked.story,
            last_time: checked.last_time.unwrap_or_default(),
            note,
            keys,
            signer,
            shared: Arc::clone(&shared),
            publisher: committed,
        };
        // The directory is free again only once both threads have ended.
        let lock = Arc::new(lock);
        let (held, poisoned) = (Arc::clone(&lock), shared.clone());
        let publishing = spawn("ledger-publish", move || {
            publisher.run(&batches, &poisoned);
            drop(held);
        })?;
        let writing = spawn("ledger-write", move || {
            writer.run(&receiver);
            drop(lock);
        })?;
        let threads = Mutex::new(vec![writing, publishing]);
        Ok(Self(Arc::new(Handle { messages, shared, threads })))
    }

    /// Records an entry. `done` gets its number once it is on disk, or the reason why it is not: once,
    /// on the writer's thread or, for what is refused at once, on this one. It must not block.
    ///
    /// Never blocks. Entries of one thread keep their order.
    pub fn append(
        &self,
        entry: NewEntry,
        done: impl FnOnce(Result<u64, LedgerError>) + Send + 'static,
    ) {
        self.send(entry, Box::new(done), Pace::Now);
    }

    /// Records an entry that nobody waits for: it reaches the disk with the next one that somebody
    /// does, or about 20 ms later. Otherwise as [`Self::append`].
    pub fn append_later(
        &self,
        entry: NewEntry,
        done: impl FnOnce(Result<u64, LedgerError>) + Send + 'static,
    ) {
        self.send(entry, Box::new(done), Pace::Later);
    }

    fn send(&self, entry: NewEntry, done: Callback, pace: Pace) {
        let shared = &self.0.shared;
        let weight = entry.weight();
        let done = Done::new(shared, weight, done);
        if shared.waiting_bytes.load(Ordering::Relaxed) > MAX_WAITING_BYTES {
            done.call(Err(LedgerError::Busy));
        } else if let Err(error) = shared.check() {
            done.call(Err(error));
        } else {
            // On failure the message comes back and is dropped, which says `Closed`.
            let _ = self.0.messages.send(Message::Append(entry, done, pace));
        }
    }

    /// Size, root, and whether entries are taken. What is seen here is on disk, and can be given as
    /// [`Settings::known`] at the next start.
    pub fn status(&self) -> Status {
        self.0.shared.status()
    }

    /// Writes what waits, publishes the last checkpoint, and unlocks the directory. Blocks until then,
    /// so it may not be called by a `done`; later appends, by any handle, are refused.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Poisoned`] when something could not be written.
    pub fn close(&self) -> Result<(), LedgerError> {
        let _ = self.0.messages.send(Message::Close);
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                self.0.shared.poison(&LedgerError::Closed);
            }
        }
        self.0.shared.check()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LedgerError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(failed("start", Path::new(name)))
}

/// Cuts off what no checkpoint follows, and gives the last segment, ready to append.
fn truncate(dir: &Path, tail: &Tail) -> Result<File, LedgerError> {
    let path = dir.join(&tail.file);
    let file = OpenOptions::new().append(true).open(&path).map_err(failed("open", &path))?;
    if tail.uncommitted_bytes > 0 {
        tracing::warn!(
            target: "snowgate::ledger",
            file = tail.file,
            bytes = tail.uncommitted_bytes,
            "removing a batch that was not completed"
        );
        file.set_len(tail.committed_bytes).map_err(failed("truncate", &path))?;
        file.sync_all().map_err(failed("sync", &path))?;
    }
    Ok(file)
}
