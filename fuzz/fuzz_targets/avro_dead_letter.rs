//! Any bytes as a dead letter; what is taken is encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::avro::DeadLetter;

fuzz_target!(|message: &[u8]| {
    if let Ok(letter) = DeadLetter::decode(message) {
        let again = letter.encode().expect("what was decoded can be encoded");
        let again = DeadLetter::decode(&again).expect("what was encoded can be decoded");
        assert_eq!(again, letter);
    }
});
