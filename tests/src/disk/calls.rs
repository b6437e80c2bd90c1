//! What the kernel asks of the disk. Nothing is cached there, so that what is forgotten is gone for everybody.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::nodes::{Content, Node, Nodes, ROOT};

/// How long the kernel may believe what it was told.
const AT_ONCE: Duration = Duration::ZERO;
const BLOCK: u32 = 4096;
/// Of a disk that is never full.
const FREE_BLOCKS: u64 = 1 << 20;
const O_APPEND: i32 = 0o2000;

pub(super) struct Calls(pub(super) Arc<Mutex<Nodes>>);

impl Calls {
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(
        &self,
        directory: INodeNo,
        name: &OsStr,
        mode: u32,
        nothing: &Content,
    ) -> Result<FileAttr, Errno> {
        let mut nodes = self.nodes();
        let number = nodes.make(directory.0, name, mode, nothing)?;
        Ok(attributes(number, nodes.get(number)?))
    }
}

fn kind(content: &Content) -> FileType {
    match content {
        Content::File(_) => FileType::RegularFile,
        Content::Directory(_) => FileType::Directory,
    }
}

fn attributes(number: u64, node: &Node) -> FileAttr {
    let size = match &node.now {
        Content::File(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        Content::Directory(_) => 0,
    };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(&node.now),
        perm: u16::try_from(node.mode).unwrap_or(0),
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

fn empty(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(made: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match made {
        Ok(attributes) => reply.entry(&AT_ONCE, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

/// Where in memory.
fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Filesystem for Calls {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let nodes = self.nodes();
        let found = nodes.find(parent.0, name);
        let found = found.and_then(|number| Ok(attributes(number, nodes.get(number)?)));
        entry(found, reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.nodes().get(ino.0) {
            Ok(node) => reply.attr(&AT_ONCE, &attributes(ino.0, node)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut nodes = self.nodes();
        let mut set = || {
            if let Some(size) = size {
                nodes.bytes_mut(ino.0)?.resize(place(size), 0);
            }
            let node = nodes.get_mut(ino.0)?;
            if let Some(mode) = mode {
                node.mode = mode & 0o7777;
            }
            Ok(attributes(ino.0, node))
        };
        match set() {
            Ok(attributes) => reply.attr(&AT_ONCE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let nothing = Content::Directory(BTreeMap::new());
        entry(self.made(parent, name, mode & !umask, &nothing), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.nodes().unname(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.nodes().unname(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self.nodes().rename((parent.0, name), (newparent.0, newname));
        empty(renamed, reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.nodes().bytes_mut(ino.0) {
            Ok(bytes) => {
                let from = place(offset).min(bytes.len());
                let to = from.saturating_add(place(size.into())).min(bytes.len());
                reply.data(bytes.get(from..to).unwrap_or_default());
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.nodes().bytes_mut(ino.0) {
            Ok(bytes) => {
                let from = if flags.0 & O_APPEND == 0 {
                    place(offset)
                } else {
                    bytes.len()
                };
                let to = from.saturating_add(data.len());
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(data);
                reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
            }
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.nodes().sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.nodes().sync(ino.0), reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let nodes = self.nodes();
        let names = match nodes.names(ino.0) {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        let own = [(OsStr::new("."), ino.0), (OsStr::new(".."), ROOT)];
        let all = own
            .into_iter()
            .chain(names.iter().map(|(name, number)| (name.as_os_str(), *number)));
        for (at, (name, number)) in (1..).zip(all).skip(place(offset)) {
            let kind = nodes
                .get(number)
                .map_or(FileType::Directory, |node| kind(&node.now));
            if reply.add(INodeNo(number), at, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 0, 0, BLOCK, 255, BLOCK);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.made(parent, name, mode & !umask, &Content::File(Vec::new())) {
            Ok(attributes) => reply.created(
                &AT_ONCE,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }
}
