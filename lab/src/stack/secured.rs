//! What makes servers secure: certificates, and a listener of Kafka that wants TLS, a client's certificate and a password.

use std::{fs, path::Path};

use super::error::{StackError, could_not};

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, and those that vouch for it up to the authority's.
    pub chain: String,
    /// Its key, PKCS #8.
    pub key: String,
}

/// A further listener of Kafka, at `localhost`, for one user: by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
#[derive(Clone, Debug)]
pub struct Secured {
    /// The broker's certificate.
    pub certificate: Certificate,
    /// The certificate of the authority that vouches for clients, PEM.
    pub authority: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
}

impl Secured {
    /// Writes the certificates into the broker's directory.
    pub(super) fn write(&self, directory: &Path) -> Result<(), StackError> {
        let Certificate { chain, key } = &self.certificate;
        for (name, text) in
            [("broker.pem", &format!("{key}{chain}")), ("authority.pem", &self.authority)]
        {
            fs::write(directory.join(name), text).map_err(could_not("write a certificate"))?;
        }
        Ok(())
    }

    /// The lines of `server.properties` that add the listener on `port` to those of the broker and the controller.
    pub(super) fn settings(&self, (broker, controller): (u16, u16), port: u16) -> String {
        let Self { user, password, .. } = self;
        let modules = "org.apache.kafka.common.security";
        format!(
            "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL\n\
             listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},SECURED://127.0.0.1:{port}\n\
             advertised.listeners=BROKER://127.0.0.1:{broker},SECURED://localhost:{port}\n\
             listener.name.secured.ssl.keystore.type=PEM\n\
             listener.name.secured.ssl.keystore.location=broker.pem\n\
             listener.name.secured.ssl.truststore.type=PEM\n\
             listener.name.secured.ssl.truststore.location=authority.pem\n\
             listener.name.secured.ssl.client.auth=required\n\
             listener.name.secured.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.secured.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{user}=\"{password}\";\n\
             listener.name.secured.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
             listener.name.secured.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n"
        )
    }

    /// The user as the formatting of the data directory takes it, by mechanism.
    pub(super) fn scram(&self) -> [String; 2] {
        ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .map(|mechanism| format!("{mechanism}=[name={},password={}]", self.user, self.password))
    }
}
