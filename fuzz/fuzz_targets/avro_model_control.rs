//! Any bytes as a model descriptor; what is taken is encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::avro::ModelControl;

fuzz_target!(|message: &[u8]| {
    if let Ok(descriptor) = ModelControl::decode(message) {
        let _ = descriptor.signature();
        let again = descriptor.encode().expect("what was decoded can be encoded");
        let again = ModelControl::decode(&again).expect("what was encoded can be decoded");
        assert_eq!(again, descriptor);
    }
});
