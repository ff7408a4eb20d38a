//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost_types::{DescriptorProto, FileDescriptorSet};

const FILES: [&str; 10] = [
    "store/catalog/v1/catalog.proto",
    "store/orders/events/v1/events.proto",
    "store/orders/v1/orders.proto",
    "store/payments/events/v1/events.proto",
    "store/payments/v1/payments.proto",
    "store/products/events/v1/events.proto",
    "store/stock/events/v1/events.proto",
    "store/stock/v1/stock.proto",
    "store/users/events/v1/events.proto",
    "store/users/v1/users.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for directory in ["store", "google"] {
        println!("cargo::rerun-if-changed={directory}");
    }
    let compiled = protox::Compiler::new(["."])?
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES)?
        .encode_file_descriptor_set();
    let descriptors: FileDescriptorSet = prost::Message::decode(compiled.as_slice())?;
    let directory = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(directory.join("envelopes.rs"), envelopes(&descriptors))?;
    fs::write(directory.join("descriptors.bin"), &compiled)?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names().include_file("modules.rs");
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// Per event, how it becomes the message of its topic: the one whose `oneof` is called `event`.
fn envelopes(descriptors: &FileDescriptorSet) -> String {
    let mut code = String::new();
    for file in &descriptors.file {
        let module = format!("crate::{}", file.package().replace('.', "::"));
        let is_envelope = |message: &&DescriptorProto| {
            message.oneof_decl.iter().any(|oneof| oneof.name() == "event")
        };
        for envelope in file.message_type.iter().filter(is_envelope) {
            let envelope_name = envelope.name();
            let inner = format!("{}_event", envelope_name.trim_end_matches("Event").to_lowercase());
            for field in &envelope.field {
                let event = field.type_name().rsplit('.').next().unwrap_or_default();
                code += &format!(
                    "impl From<{module}::{event}> for {module}::{envelope_name} {{
                        fn from(event: {module}::{event}) -> Self {{
                            Self {{ event: Some({module}::{inner}::Event::{event}(event)) }}
                        }}
                    }}\n"
                );
            }
        }
    }
    code
}
