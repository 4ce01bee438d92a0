//! The embedded log on a real disk: tearing, damage, truncation, failure.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use futures::executor::block_on;
use millstream_catalog::model::RequestId;
use tempfile::TempDir;

use super::*;
use crate::testkit::{Reader, entry, record, tso};
use crate::writer::{WriteError, Writer};

const C: ChannelId = ChannelId(0);

fn open(folder: &Path) -> Result<Arc<Wal>, Fault> {
    Wal::open(folder, 1, unsynced())
}

/// Without syncs: tests that tear files themselves need none, and are a hundred times faster.
fn unsynced() -> WalOptions {
    WalOptions { sync: Arc::new(|_, _| Ok(())), ..WalOptions::default() }
}

fn append(wal: &Wal, entry: Entry) -> Result<u64, AppendError> {
    let (sender, receiver) = mpsc::channel();
    let id = MsgId::Tick(Timestamp(0));
    wal.append(C, entry, id, Box::new(move |outcome| sender.send(outcome).expect("waited for")));
    receiver.recv().expect("told")
}

fn read(wal: &Wal, after_seq: u64, last_seq: u64) -> Reader {
    let mut reader = Reader::new(after_seq);
    block_on(wal.subscribe(C, after_seq, Arc::clone(&reader.inbox))).expect("subscribed");
    reader.wait("the last entry", |r| r.assembler.last_seq() >= last_seq);
    reader
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder.join("000")).expect("folder");
    let mut all: Vec<PathBuf> = all.map(|file| file.expect("file").path()).collect();
    all.sort();
    all
}

fn tags(reader: &Reader) -> Vec<u8> {
    let tag = |c: crate::record::Column| c.data.value(0)[0];
    reader.units.iter().flat_map(|u| &u.records).flat_map(|r| r.columns().map(tag)).collect()
}

#[test]
fn reopening_replays_what_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    for round in 0..3u64 {
        let wal = open(folder.path()).unwrap();
        assert_eq!(block_on(wal.bounds(C)).unwrap().1, round * 20);
        for n in 0..20u64 {
            let seq = round * 20 + n + 1;
            assert_eq!(append(&wal, entry(seq, &[record(seq as u8, 100 * n as usize)])), Ok(seq));
        }
    }
    let wal = open(folder.path()).unwrap();
    let reader = read(&wal, 0, 60);
    assert_eq!(reader.units.len(), 60);
    assert!(reader.units.iter().zip(1..).all(|(u, seq)| u.ts.0 == seq && u.position.seq == seq));
    assert_eq!(read(&wal, 57, 60).units.len(), 3);
}

#[test]
fn a_subscriber_in_the_past_joins_the_present_without_gap() {
    let folder = TempDir::new().unwrap();
    let wal = open(folder.path()).unwrap();
    let mut readers = Vec::new();
    for seq in 1..=300u64 {
        append(&wal, entry(seq, &[record(1, 3000)])).unwrap();
        if seq % 50 == 0 {
            let reader = Reader::new(0);
            block_on(wal.subscribe(C, 0, Arc::clone(&reader.inbox))).unwrap();
            readers.push(reader);
        }
    }
    for reader in &mut readers {
        reader.wait("all entries", |r| r.assembler.last_seq() == 300);
        assert_eq!(reader.units.len(), 300);
    }
}

/// Tears the last frame at every byte, in the ways a crash can: cut, and cut then zeros.
#[test]
fn a_write_torn_at_any_byte_recovers_to_the_last_whole_entry() {
    let folder = TempDir::new().unwrap();
    let wal = open(folder.path()).unwrap();
    append(&wal, entry(1, &[record(1, 40)])).unwrap();
    append(&wal, entry(2, &[record(2, 40)])).unwrap();
    let path = files(folder.path()).pop().unwrap();
    let start = end_of_frames(&std::fs::read(&path).unwrap());
    append(&wal, entry(3, &[record(3, 40)])).unwrap();
    drop(wal);
    let whole = std::fs::read(&path).unwrap();
    let end = end_of_frames(&whole);
    for torn in start..end {
        for zeros in [0, whole.len() - torn] {
            let mut bytes = whole[..torn].to_vec();
            bytes.resize(torn + zeros, 0);
            std::fs::write(&path, &bytes).unwrap();
            let last = if whole[torn..end].iter().all(|&b| b == 0) && zeros > 0 { 3 } else { 2 };
            let wal = open(folder.path()).unwrap();
            assert_eq!(block_on(wal.bounds(C)).unwrap(), (1, last), "torn at {torn}");
            if last == 2 {
                let after = std::fs::read(&path).unwrap();
                assert!(after[start..].iter().all(|&b| b == 0), "torn at {torn}: not cut off");
            }
            if torn % 40 == 0 {
                append(&wal, entry(9, &[record(9, 8)])).unwrap();
                assert_eq!(tags(&read(&wal, 0, last + 1)).last(), Some(&9));
            }
        }
    }
}

/// The header and the end may reach the disk before what is between them.
#[test]
fn a_hole_in_the_last_entry_is_a_torn_write() {
    let folder = TempDir::new().unwrap();
    let wal = open(folder.path()).unwrap();
    append(&wal, entry(1, &[record(1, 40)])).unwrap();
    append(&wal, entry(2, &[record(2, 9000)])).unwrap();
    drop(wal);
    let path = files(folder.path()).pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..8192].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let wal = open(folder.path()).unwrap();
    assert_eq!(block_on(wal.bounds(C)).unwrap(), (1, 1));
}

#[test]
fn damage_before_the_last_entry_is_refused_by_name_and_place() {
    let folder = TempDir::new().unwrap();
    let options = WalOptions { file_bytes_max: 2000, reserve_bytes: 512, ..unsynced() };
    let wal = Wal::open(folder.path(), 1, options).unwrap();
    for seq in 1..=12u64 {
        append(&wal, entry(seq, &[record(seq as u8, 300)])).unwrap();
    }
    drop(wal);
    let files = files(folder.path());
    assert!(files.len() > 2, "several files");
    let last = files.last().unwrap();
    for path in &files {
        let good = std::fs::read(path).unwrap();
        let end = end_of_frames(&good);
        let last_frame = frames(&good).pop().unwrap();
        for at in (0..end).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            std::fs::write(path, &bad).unwrap();
            let opened = open(folder.path());
            if path == last && at >= last_frame {
                assert!(opened.is_ok(), "the last frame counts as torn");
                drop(opened);
            } else {
                let text = opened.err().expect("refused").message;
                assert!(text.contains(&path.display().to_string()), "{text}");
                assert!(text.contains("at byte"), "{text}");
                assert_eq!(std::fs::read(path).unwrap(), bad, "nothing was changed");
            }
        }
        std::fs::write(path, &good).unwrap();
    }
    std::fs::remove_file(&files[1]).unwrap();
    let text = open(folder.path()).err().expect("refused").message;
    assert!(text.contains("missing"), "{text}");
}

#[test]
fn a_file_torn_while_it_was_created_is_used_again() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()).unwrap());
    let path = folder.path().join("000").join(format::file_name(1, 77));
    for torn in [vec![], vec![1; 31], vec![0; 32], vec![0; 4096]] {
        std::fs::write(&path, torn).unwrap();
        let wal = open(folder.path()).unwrap();
        assert_eq!(append(&wal, entry(1, &[record(1, 8)])), Ok(1));
        drop(wal);
        assert_eq!(block_on(open(folder.path()).unwrap().bounds(C)).unwrap(), (1, 1));
    }
}

#[test]
fn truncation_deletes_whole_files_and_keeps_the_rest_readable() {
    let folder = TempDir::new().unwrap();
    let options = WalOptions { file_bytes_max: 4000, reserve_bytes: 512, ..unsynced() };
    let wal = Wal::open(folder.path(), 1, options.clone()).unwrap();
    for seq in 1..=40u64 {
        append(&wal, entry(seq, &[record(seq as u8, 700)])).unwrap();
    }
    let before = files(folder.path()).len();
    block_on(wal.truncate(C, 20)).unwrap();
    let (first, last) = block_on(wal.bounds(C)).unwrap();
    assert!(first > 10 && first <= 21 && last == 40);
    assert!(files(folder.path()).len() < before);
    let reader = Reader::new(0);
    let refused = block_on(wal.subscribe(C, 0, Arc::clone(&reader.inbox)));
    assert!(refused.expect_err("gone").message.contains("channel 0"));
    block_on(wal.truncate(C, u64::MAX)).unwrap();
    drop(wal);
    let wal = Wal::open(folder.path(), 1, options).unwrap();
    assert_eq!(append(&wal, entry(41, &[record(41, 700)])), Ok(41));
    assert_eq!(tags(&read(&wal, 40, 41)), [41]);
}

/// Bytes of all files of the log.
fn disk_bytes(folder: &std::path::Path) -> u64 {
    files(folder).iter().map(|file| std::fs::metadata(file).map_or(0, |file| file.len())).sum()
}

#[test]
fn a_file_of_which_all_is_truncated_goes_while_nothing_comes() {
    let folder = TempDir::new().unwrap();
    let wal = open(folder.path()).unwrap();
    for seq in 1..=12 {
        append(&wal, entry(seq, &[record(1, 500_000)])).unwrap();
    }
    block_on(wal.truncate(C, 11)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(disk_bytes(folder.path()) > 6_000_000, "one entry is needed still");
    block_on(wal.truncate(C, 12)).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while disk_bytes(folder.path()) > 1_000_000 {
        assert!(std::time::Instant::now() < end, "it is still there");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(block_on(wal.bounds(C)).unwrap(), (13, 12));
    drop(wal);
    let wal = open(folder.path()).unwrap();
    assert_eq!(block_on(wal.bounds(C)).unwrap(), (13, 12));
    assert_eq!(append(&wal, entry(13, &[record(7, 8)])), Ok(13));
    assert_eq!(tags(&read(&wal, 12, 13)), [7]);
}

#[test]
fn a_second_process_cannot_open_the_log() {
    let folder = TempDir::new().unwrap();
    let wal = open(folder.path()).unwrap();
    assert!(open(folder.path()).err().expect("refused").message.contains("another process"));
    drop(wal);
    open(folder.path()).unwrap();
}

#[test]
fn a_failing_sync_calls_the_fatal_hook_and_stops_the_channel() {
    let folder = TempDir::new().unwrap();
    let (failing, fatal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (fail, count) = (Arc::clone(&failing), Arc::clone(&fatal));
    let options = WalOptions {
        sync: Arc::new(move |file, _| match fail.load(Ordering::SeqCst) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => file.sync_data(),
        }),
        on_fatal: Arc::new(move |reason| {
            assert!(reason.contains("syncing the log"));
            count.fetch_add(1, Ordering::SeqCst);
        }),
        ..WalOptions::default()
    };
    let wal = Wal::open(folder.path(), 1, options).unwrap();
    let mut reader = Reader::new(0);
    block_on(wal.subscribe(C, 0, Arc::clone(&reader.inbox))).unwrap();
    let writer = Writer::new(Arc::clone(&wal) as Arc<dyn Log>, tso());
    let write = |n| block_on(writer.write(RequestId(n), vec![(C, vec![record(1, 8)])]));
    write(1).unwrap();
    failing.store(true, Ordering::SeqCst);
    assert!(matches!(write(2), Err(WriteError::Unknown(_))));
    assert!(matches!(write(3), Err(WriteError::Refused(_))));
    assert_eq!(fatal.load(Ordering::SeqCst), 1);
    reader.wait("the failure", |r| r.broken.is_some());
    assert_eq!(reader.units.len(), 1, "what is not durable is not delivered");
    assert!(block_on(wal.check()).is_err());
}

#[test]
fn every_acknowledged_entry_was_synced_and_every_new_file_too() {
    let folder = TempDir::new().unwrap();
    let kinds = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    let options = WalOptions {
        file_bytes_max: 4000,
        sync: Arc::new(move |_, kind| {
            seen.lock().push(kind);
            Ok(())
        }),
        ..WalOptions::default()
    };
    let wal = Wal::open(folder.path(), 1, options).unwrap();
    kinds.lock().clear();
    for seq in 1..=10u64 {
        append(&wal, entry(seq, &[record(1, 1500)])).unwrap();
        assert_eq!(kinds.lock().pop(), Some(SyncKind::Data));
    }
    assert_eq!(*kinds.lock(), [SyncKind::All; 10], "file and folder of each of five files");
}

#[test]
fn requests_that_wait_share_one_sync() {
    let folder = TempDir::new().unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&syncs);
    let options = WalOptions {
        sync: Arc::new(move |_, kind| {
            count.fetch_add(usize::from(kind == SyncKind::Data), Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(5));
            Ok(())
        }),
        ..WalOptions::default()
    };
    let wal = Wal::open(folder.path(), 1, options).unwrap();
    let writer = Writer::new(wal, tso());
    std::thread::scope(|scope| {
        for thread in 0..16u128 {
            let writer = &writer;
            scope.spawn(move || {
                for n in 0..10 {
                    let units = vec![(C, vec![record(1, 64)])];
                    block_on(writer.write(RequestId(thread * 100 + n), units)).unwrap();
                }
            });
        }
    });
    let syncs = syncs.load(Ordering::SeqCst);
    assert!(syncs < 60, "160 requests took {syncs} syncs");
}

#[test]
fn a_channel_that_is_never_written_has_no_file() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::open(folder.path(), 4, WalOptions::default()).unwrap();
    append(&wal, entry(1, &[record(1, 8)])).unwrap();
    let count = |c: &str| std::fs::read_dir(folder.path().join(c)).unwrap().count();
    assert_eq!((count("000"), count("001"), count("003")), (1, 0, 0));
}

/// Offsets of the frames of a file.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let salt = crate::le::u64_at(bytes, 16);
    let (mut at, mut all) = (format::HEADER_BYTES, Vec::new());
    while let Some(frame) = format::FrameHeader::decode(&bytes[at..], salt) {
        all.push(at);
        at += frame.frame_bytes();
    }
    all
}

fn end_of_frames(bytes: &[u8]) -> usize {
    let salt = crate::le::u64_at(bytes, 16);
    frames(bytes).pop().map_or(format::HEADER_BYTES, |at| {
        let frame = format::FrameHeader::decode(&bytes[at..], salt).unwrap();
        at + frame.frame_bytes()
    })
}
