//! `store.users.v1.UserService`.

use proto::store::users::v1::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, ListUsersRequest, ListUsersResponse, user::Type,
    user_service_server::UserService,
};
use runtime::grpc::{
    page::Page,
    request::{InvalidRequest, Violations},
};
use tonic::{Request, Response, Status};

use super::{Shared, request, status};
use crate::{
    commands::{self, CreateUser, DeleteUser},
    domain::catalog::UserType,
    queries,
};

const CREATE_USER: &str = "store.users.v1.UserService/CreateUser";
const DELETE_USER: &str = "store.users.v1.UserService/DeleteUser";
const MAX_NAME: usize = 200;
const EMAIL_LENGTH: std::ops::RangeInclusive<usize> = 3..=254;

/// The service of users.
#[derive(Clone, Debug)]
pub struct UsersGrpc(pub Shared);

#[tonic::async_trait]
impl UserService for UsersGrpc {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let command = read_create_user(&request).map_err(status::invalid)?;
        let answer = commands::create_user(&self.0.pool, &command).await;
        Ok(Response::new(answer.map_err(status::create_user)?))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let command = read_delete_user(&request).map_err(status::invalid)?;
        let answer = commands::delete_user(&self.0.pool, &command).await;
        Ok(Response::new(answer.map_err(status::delete_user)?))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let user_id =
            request::id("user_id", &request.get_ref().user_id).map_err(status::invalid)?;
        let user = queries::get_user(&self.0.pool, user_id).await;
        let user = user.map_err(|error| status::store(&error))?;
        Ok(Response::new(user.ok_or_else(|| status::user_not_found(user_id))?))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let (user_type, page) = read_list_users(request.get_ref()).map_err(status::invalid)?;
        let users = queries::list_users(&self.0.pool, user_type, &page).await;
        Ok(Response::new(users.map_err(|error| status::store(&error))?))
    }
}

fn read_create_user(request: &Request<CreateUserRequest>) -> Result<CreateUser, InvalidRequest> {
    let mut violations = Violations::default();
    let fields = request.get_ref();
    let name = request::label(&mut violations, "name", &fields.name, MAX_NAME);
    let email = read_email(&mut violations, &fields.email);
    let user_type = read_type(&mut violations, fields.r#type);
    if user_type == Some(None) {
        violations.add("type", "is required");
    }
    let asked =
        request::asked(&mut violations, CREATE_USER, request, |fields| &mut fields.request_id);
    violations.finish(|| {
        let asked = asked?.safe_to_repeat();
        Some(CreateUser { asked, name: name?, email: email?, user_type: user_type?? })
    })
}

/// Whether mail arrives there is for the mail to find out; here it only has to look like an address.
fn read_email(violations: &mut Violations, text: &str) -> Option<String> {
    let email = violations.text("email", text, EMAIL_LENGTH)?;
    let parts = email
        .split_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if parts.is_none() || email.contains(char::is_whitespace) {
        violations.add("email", "must be an e-mail address, such as ada@example.com");
        return None;
    }
    Some(email)
}

/// `Some(None)` where none is given.
fn read_type(violations: &mut Violations, number: i32) -> Option<Option<UserType>> {
    match Type::try_from(number) {
        Ok(Type::Unspecified) => Some(None),
        Ok(Type::Client) => Some(Some(UserType::Client)),
        Ok(Type::Employee) => Some(Some(UserType::Employee)),
        Ok(Type::Manager) => Some(Some(UserType::Manager)),
        Err(_) => {
            violations.add("type", "must be a type of User.Type");
            None
        }
    }
}

fn read_delete_user(request: &Request<DeleteUserRequest>) -> Result<DeleteUser, InvalidRequest> {
    let mut violations = Violations::default();
    let user_id = violations.check("user_id", request.get_ref().user_id.parse());
    let asked =
        request::asked(&mut violations, DELETE_USER, request, |fields| &mut fields.request_id);
    violations.finish(|| Some(DeleteUser { asked: asked?.safe_to_repeat(), user_id: user_id? }))
}

fn read_list_users(request: &ListUsersRequest) -> Result<(Option<UserType>, Page), InvalidRequest> {
    let mut violations = Violations::default();
    let user_type = read_type(&mut violations, request.r#type);
    let filter = ListUsersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let page = Page::parse(&mut violations, request.page_size, &request.page_token, &filter);
    violations.finish(|| Some((user_type?, page?)))
}
