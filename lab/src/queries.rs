//! Keeps `.sqlx`: what each checked query asks and answers, so that a build needs no database. The same as
//! `cargo sqlx prepare`, which cannot take one database per crate, and with the databases it needs started here.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    processes,
    stack::{Stack, StackOptions},
};

/// A database, the migrations it has, and the crates whose queries are asked of it.
const DATABASES: [(&str, &[&str], &[&str]); 3] = [
    ("messaging", &["messaging"], &["messaging", "outbox-relay"]),
    ("payments", &["messaging", "payments"], &["payments"]),
    ("store_manager", &["messaging", "store_manager"], &["store-manager"]),
];

/// Asks a new PostgreSQL about every checked query. With `check`, fails if `.sqlx` says otherwise; else rewrites it.
///
/// # Errors
/// If a query is wrong, or if `.sqlx` is not what the code asks.
pub async fn prepare(check: bool) -> anyhow::Result<()> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("lab lies in the workspace")?;
    let stack = Stack::start_postgres_only(StackOptions::default()).await?;
    let fresh = root.join("target/sqlx");
    match fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&fresh)?,
    }

    let mut cargo = processes::cargo();
    cargo.current_dir(root).args(["check", "--quiet", "--workspace", "--all-targets"]);
    cargo.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &fresh);
    for (database, migrations, crates) in DATABASES {
        let url = stack.create_database(database).await?;
        for migration in migrations {
            migrate(&url, &root.join("migrations").join(migration)).await?;
        }
        for name in crates {
            let variable = format!("{}_DATABASE_URL", name.to_uppercase().replace('-', "_"));
            cargo.env(variable, &url).env("DATABASE_URL", &url);
            let source = fs::File::open(root.join(name).join("src/lib.rs"))?;
            source.set_modified(SystemTime::now()).context("so that it is compiled again")?;
        }
    }
    ensure!(cargo.status().await?.success(), "the queries do not fit the migrations");
    stack.stop().await?;

    let kept = root.join(".sqlx");
    if !check {
        return replace(&kept, &fresh);
    }
    if contents(&kept)? != contents(&fresh)? {
        bail!(".sqlx is not what the code asks: run `cargo run --bin lab -- sqlx` and commit it");
    }
    Ok(())
}

async fn migrate(url: &str, directory: &Path) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for (name, statements) in contents(directory)? {
        let statements = AssertSqlSafe(String::from_utf8(statements)?);
        sqlx::raw_sql(statements).execute(&mut connection).await.with_context(|| name)?;
    }
    Ok(connection.close().await?)
}

fn contents(directory: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    files(directory)?
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, fs::read(&path)?))
        })
        .collect()
}

fn replace(kept: &Path, fresh: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(kept)?;
    for path in files(kept)? {
        fs::remove_file(path)?;
    }
    for path in files(fresh)? {
        fs::copy(&path, kept.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
