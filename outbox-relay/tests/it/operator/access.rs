//! Makes rules of access to a topic, which the client library's safe interface does not: a CreateAcls request, byte for byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Operations, by Kafka's numbers.
pub(crate) const READ: u8 = 3;
pub(crate) const WRITE: u8 = 4;
pub(crate) const DESCRIBE: u8 = 8;
pub(crate) const DESCRIBE_CONFIGS: u8 = 10;

const CREATE_ACLS: u16 = 30;
const VERSION: u16 = 1;
const TOPIC: u8 = 2;
const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

/// Allows everybody these operations on the topic.
pub(crate) async fn allow(broker: &str, topic: &str, operations: &[u8]) {
    let mut body = Vec::new();
    for number in [CREATE_ACLS, VERSION] {
        body.extend_from_slice(&number.to_be_bytes());
    }
    let correlation: u32 = 1;
    body.extend_from_slice(&correlation.to_be_bytes());
    put(&mut body, "test");
    body.extend_from_slice(&u32::try_from(operations.len()).unwrap().to_be_bytes());
    for operation in operations {
        body.push(TOPIC);
        put(&mut body, topic);
        body.push(LITERAL);
        put(&mut body, "User:*");
        put(&mut body, "*");
        body.extend_from_slice(&[*operation, ALLOW]);
    }
    let mut broker = TcpStream::connect(broker).await.unwrap();
    broker.write_u32(u32::try_from(body.len()).unwrap()).await.unwrap();
    broker.write_all(&body).await.unwrap();
    let length = broker.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    broker.read_exact(&mut answer).await.unwrap();
    // After the correlation, the throttling and the count: for each rule no error and no message.
    assert_eq!(answer[12..], vec![0; 4 * operations.len()], "{answer:?}");
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
