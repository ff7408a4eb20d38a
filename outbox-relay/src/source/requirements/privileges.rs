//! What the relay's role must be allowed.

use sqlx::PgConnection;

use crate::fault::Fault;
use crate::finding::Finding;

/// Checks every privilege that publishing needs.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let privileges = sqlx::query_file!("sql/read_privileges.sql").fetch_all(connection).await?;
    let missing: Vec<&str> = privileges
        .iter()
        .filter(|privilege| !privilege.granted)
        .map(|privilege| privilege.name.as_str())
        .collect();
    let role = privileges.first().map_or("the role", |privilege| privilege.role.as_str());
    if missing.is_empty() {
        return Ok(Finding::ok("privileges", format!("{role} may do all that publishing needs")));
    }
    let missing = missing.join(", ");
    let grants: Vec<String> =
        missing.split(", ").map(|privilege| format!("GRANT {privilege} TO {role}")).collect();
    Ok(Finding::fault(
        "privileges",
        Fault::new(format!("{role} lacks {missing}"), grants.join("; ")),
    ))
}
