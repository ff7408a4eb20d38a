//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost_types::FileDescriptorSet;

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
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin"), &compiled)?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names().include_file("modules.rs");
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}
