use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;
use crate::destinations::files::names::Order;
use crate::destinations::files::shelf::NewFile;
use crate::testing::partition;

const LAYOUT: &str = "all.parquet";

struct Rig {
    store: Arc<InMemory>,
    partition: TopicPartition,
}

impl Rig {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            partition: partition("results", 2),
        }
    }

    fn bucket(&self, owner: &str) -> Bucket {
        let store = Box::new(Arc::clone(&self.store));
        Bucket::open(store, "some/where/", owner.into(), LAYOUT.into()).unwrap()
    }

    fn publish(&self, bucket: &mut Bucket, first: i64, last: i64) -> Result<(), WriteError> {
        let files = self.files(first, last);
        bucket.publish(&self.delivery(&files, first, last))
    }

    fn files(&self, first: i64, last: i64) -> [NewFile; 1] {
        [NewFile {
            folder: "hour=04".into(),
            name: names::finished(&self.partition, (first, last), Order::Last, "parquet"),
            bytes: b"rows".to_vec(),
        }]
    }

    fn delivery<'a>(&'a self, files: &'a [NewFile], first: i64, last: i64) -> Delivery<'a> {
        Delivery {
            partition: &self.partition,
            offsets: (first, last),
            layout: LAYOUT,
            files,
        }
    }

    /// Names that a reader of the bucket sees.
    fn visible(&self) -> Vec<String> {
        let bucket = self.bucket("reader");
        let listed = bucket.runtime.block_on(async {
            let mut names = Vec::new();
            let mut objects = self.store.list(None);
            while let Some(object) = objects.next().await {
                names.push(object.unwrap().location.to_string());
            }
            names
        });
        let is_visible = |name: &String| !name.rsplit('/').next().unwrap().starts_with('.');
        listed.into_iter().filter(is_visible).collect()
    }
}

fn stock(next_offset: i64, unfinished_to: Option<i64>) -> Stock {
    Stock {
        next_offset,
        unfinished_to,
    }
}

#[test]
fn published_object_is_visible_and_counts_for_the_next_owner() {
    let rig = Rig::new();
    let mut first = rig.bucket("a");
    assert_eq!(first.claim(&rig.partition).unwrap(), stock(0, None));
    rig.publish(&mut first, 0, 4).unwrap();
    rig.publish(&mut first, 5, 9).unwrap();
    let name = "some/where/results/hour=04/results-00002-00000000000000000000-00000000000000000004.parquet";
    assert_eq!(rig.visible()[0], name);
    assert_eq!(
        rig.bucket("b").claim(&rig.partition).unwrap(),
        stock(10, None)
    );
}

#[test]
fn former_owner_cannot_publish() {
    let rig = Rig::new();
    let (mut former, mut next) = (rig.bucket("a"), rig.bucket("b"));
    former.claim(&rig.partition).unwrap();
    next.claim(&rig.partition).unwrap();
    let error = rig.publish(&mut former, 0, 4).unwrap_err();
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    assert!(rig.visible().is_empty());
    rig.publish(&mut next, 0, 7).unwrap();
    assert_eq!(rig.visible().len(), 1);
}

#[test]
fn what_the_former_owner_had_announced_is_written_once_whoever_writes_it() {
    let rig = Rig::new();
    let (mut former, mut next) = (rig.bucket("a"), rig.bucket("b"));
    former.claim(&rig.partition).unwrap();
    let files = rig.files(0, 4);
    let delivery = rig.delivery(&files, 0, 4);
    // The former owner is paused between its announcement and its objects.
    let owner = former.path(&rig.partition, &[&names::owner(&rig.partition)]);
    let owner = owner.unwrap();
    let version = former.owned[&rig.partition].clone();
    let announced = former.announce(&delivery, &owner, version);
    assert!(former.runtime.block_on(announced).is_ok());
    assert_eq!(next.claim(&rig.partition).unwrap(), stock(0, Some(4)));
    rig.publish(&mut next, 0, 4).unwrap();
    former
        .runtime
        .block_on(former.put_files(&delivery))
        .unwrap();
    assert_eq!(rig.visible().len(), 1);
    assert!(rig.publish(&mut former, 5, 6).is_err());
    rig.publish(&mut next, 5, 6).unwrap();
}

#[test]
fn announcement_whose_answer_was_lost_does_not_fence_us() {
    let rig = Rig::new();
    let mut bucket = rig.bucket("a");
    bucket.claim(&rig.partition).unwrap();
    let before = bucket.owned[&rig.partition].clone();
    rig.publish(&mut bucket, 0, 4).unwrap();
    bucket.owned.insert(rig.partition.clone(), before);
    rig.publish(&mut bucket, 5, 9).unwrap();
    assert_eq!(rig.visible().len(), 2);
}

#[test]
fn unfinished_batch_of_another_layout_is_not_guessed_at() {
    let rig = Rig::new();
    let mut bucket = rig.bucket("a");
    bucket.claim(&rig.partition).unwrap();
    let owner = bucket.path(&rig.partition, &[&names::owner(&rig.partition)]);
    let notice = "a\n0 4 hour.csv\n";
    let put = rig.store.put(owner.as_ref().unwrap(), notice.into());
    bucket.runtime.block_on(put).unwrap();
    let error = rig.bucket("b").claim(&rig.partition).unwrap_err();
    assert!(matches!(&error, WriteError::Fatal(cause) if cause.to_string().contains("hour.csv")));
}

#[test]
fn notice_reads_back() {
    for announced in [None, Some((3, 7, "date+hour.csv".to_owned()))] {
        let notice = Notice {
            owner: "abc".into(),
            announced,
        };
        assert_eq!(Notice::parse(notice.to_string().as_bytes()), Some(notice));
    }
    assert_eq!(Notice::parse(b""), None);
    assert_eq!(Notice::parse(b"abc\nnot ours"), None);
}
