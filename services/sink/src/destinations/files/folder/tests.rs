use tempfile::TempDir;

use super::*;
use crate::testing::partition;

struct Rig {
    root: TempDir,
    topic: PathBuf,
    partition: TopicPartition,
}

impl Rig {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let topic = root.path().join("results");
        Self {
            root,
            topic,
            partition: partition("results", 2),
        }
    }

    fn folder(&self, owner: char) -> Folder {
        Folder::open(
            self.root.path(),
            owner.to_string().repeat(32),
            "all.parquet".into(),
        )
        .unwrap()
    }

    fn touch(&self, name: &str) -> PathBuf {
        fs::create_dir_all(&self.topic).unwrap();
        let path = self.topic.join(name);
        fs::write(&path, "theirs").unwrap();
        path
    }

    fn finished(&self, first: i64, last: i64) -> String {
        finished(&self.partition, first, last)
    }

    /// Publishes a file for these offsets.
    fn publish(&self, folder: &mut Folder, first: i64, last: i64) -> Result<(), WriteError> {
        folder.publish(&Delivery {
            partition: &self.partition,
            offsets: (first, last),
            layout: "all.parquet",
            files: &[NewFile {
                folder: String::new(),
                name: self.finished(first, last),
                bytes: b"ours".to_vec(),
            }],
        })
    }

    fn visible(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.topic).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }
}

fn finished(partition: &TopicPartition, first: i64, last: i64) -> String {
    names::finished(partition, (first, last), names::Order::Last, "parquet")
}

fn next_offset(stock: Result<Stock, WriteError>) -> i64 {
    stock.unwrap().next_offset
}

#[test]
fn empty_folder_begins_at_offset_0() {
    let rig = Rig::new();
    assert_eq!(next_offset(rig.folder('a').claim(&rig.partition)), 0);
}

#[test]
fn position_is_after_the_last_file_whatever_else_lies_there() {
    let rig = Rig::new();
    rig.touch(&rig.finished(0, 9));
    rig.touch(&rig.finished(10, 41));
    rig.touch(&finished(&partition("results", 3), 0, 999));
    rig.touch("notes.txt");
    assert_eq!(next_offset(rig.folder('a').claim(&rig.partition)), 42);
}

#[test]
fn claim_removes_own_unfinished_files_and_no_others() {
    let rig = Rig::new();
    let stale = rig.touch(&names::temporary(&rig.partition, 5, 0, &"f".repeat(32)));
    let neighbour = names::temporary(&partition("results", 3), 5, 0, &"f".repeat(32));
    let others = [
        rig.touch(&neighbour),
        rig.touch(".mine.tmp"),
        rig.touch("copy.tmp"),
    ];
    rig.folder('a').claim(&rig.partition).unwrap();
    assert!(!stale.exists());
    for other in others {
        assert!(other.exists(), "{}", other.display());
    }
}

#[test]
fn published_file_is_visible_and_counts_for_the_next_owner() {
    let rig = Rig::new();
    let mut folder = rig.folder('a');
    folder.claim(&rig.partition).unwrap();
    rig.publish(&mut folder, 0, 4).unwrap();
    assert_eq!(rig.visible(), [rig.finished(0, 4)]);
    assert_eq!(next_offset(rig.folder('b').claim(&rig.partition)), 5);
}

#[test]
fn former_owner_cannot_publish() {
    let rig = Rig::new();
    let (mut former, mut next) = (rig.folder('a'), rig.folder('b'));
    former.claim(&rig.partition).unwrap();
    next.claim(&rig.partition).unwrap();
    let error = rig.publish(&mut former, 0, 4).unwrap_err();
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    assert!(rig.visible().is_empty());
    rig.publish(&mut next, 0, 7).unwrap();
    assert_eq!(rig.visible(), [rig.finished(0, 7)]);
}

#[test]
fn existing_file_is_never_overwritten() {
    let rig = Rig::new();
    let mut folder = rig.folder('a');
    folder.claim(&rig.partition).unwrap();
    let theirs = rig.touch(&rig.finished(0, 4));
    let error = rig.publish(&mut folder, 0, 4).unwrap_err();
    assert!(
        matches!(&error, WriteError::Fatal(cause) if cause.to_string().contains("exists already"))
    );
    assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
}

#[test]
fn replaced_folder_is_noticed_and_left_alone() {
    let rig = Rig::new();
    let mut folder = rig.folder('a');
    folder.claim(&rig.partition).unwrap();
    let root = rig.root.path();
    let moved = root.with_extension("moved");
    fs::rename(root, &moved).unwrap();
    let gone = folder.claim(&rig.partition).unwrap_err();
    fs::create_dir(root).unwrap();
    let replaced = folder.claim(&rig.partition).unwrap_err();
    let left_alone = fs::read_dir(root).unwrap().count() == 0;
    fs::remove_dir_all(&moved).unwrap();
    for error in [gone, replaced] {
        assert!(matches!(error, WriteError::Fatal(_)), "{error:?}");
    }
    assert!(left_alone);
}

#[test]
fn topic_that_looks_like_a_path_stays_inside() {
    let rig = Rig::new();
    let mut folder = rig.folder('a');
    folder.claim(&partition("../outside", 0)).unwrap();
    assert!(rig.root.path().join("%2E.%2Foutside").is_dir());
}
