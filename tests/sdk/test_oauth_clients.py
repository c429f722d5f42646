"""The official Python SDK of Genesys Cloud creates, reads, updates, resets and deletes OAuth clients on the simulator.

It is the judge of the simulator: nothing here is mocked, and every reply goes through the SDK's own models. It must not
call the simulator in a way that the SDK cannot, except for the browser's part of the authorization code flow.
"""

import base64
import json
import os
import sys
import unittest
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException

URL = urllib.parse.urlsplit(os.environ["SIMULATOR_URL"])
OPERATOR_ID = "00000000-0000-4000-8000-00000000c0de"
OPERATOR_SECRET = os.environ["SIMULATOR_OPERATOR_CLIENT_SECRET"]
REDIRECT = "https://app.example/callback"


def fresh_api_client():
    """An SDK client whose gateway setting points at the simulator."""
    client = genesys.api_client.ApiClient()
    client.set_gateway(URL.hostname, URL.scheme, URL.port, "", "")
    return client


def login(client_id=OPERATOR_ID, secret=OPERATOR_SECRET):
    return fresh_api_client().get_client_credentials_token(client_id, secret)


def admin(method, path, body):
    """What a person does on the platform, which no SDK can do."""
    request = urllib.request.Request(
        URL.geturl() + path,
        method=method,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


class SdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = login()
        cls.oauth = genesys.OAuthApi(cls.client)
        cls.authorization = genesys.AuthorizationApi(cls.client)
        roles = cls.authorization.get_authorization_roles(page_size=100).entities
        cls.roles = {role.name: role.id for role in roles}
        cls.home = cls.authorization.get_authorization_divisions_home().id

    def machine_request(self, name, role="employee"):
        request = genesys.OAuthClientRequest()
        request.name = name
        request.authorized_grant_type = "CLIENT-CREDENTIALS"
        pair = genesys.RoleDivision()
        pair.role_id, pair.division_id = self.roles[role], self.home
        request.role_divisions = [pair]
        return request

    def web_request(self, name):
        request = genesys.OAuthClientRequest()
        request.name = name
        request.authorized_grant_type = "CODE"
        request.scope = ["user-basic-info", "users:readonly"]
        request.registered_redirect_uri = [REDIRECT]
        return request

    def create(self, request):
        created = self.oauth.post_oauth_clients(request)
        self.addCleanup(self.remove, created.id)
        return created

    def remove(self, client_id):
        """The official way: update to inactive, delete; whoever is gone already is gone."""
        try:
            entity = self.oauth.get_oauth_client(client_id)
            entity.state = "inactive"
            self.oauth.put_oauth_client(client_id, entity)
            self.oauth.delete_oauth_client(client_id)
        except ApiException as error:
            if error.status != 404:
                raise

    def refused(self, status, code, call, *arguments):
        """The call fails with this status and code, in the form that the SDK hands on."""
        with self.assertRaises(ApiException) as caught:
            call(*arguments)
        error = caught.exception
        body = json.loads(error.body)
        self.assertEqual((error.status, body["code"], body["status"]), (status, code, status))
        self.assertEqual(error.headers.get("ININ-Correlation-Id"), body["contextId"])
        self.assertTrue(body["message"])
        return body


class Clients(SdkTest):
    def test_create_shows_the_secret_and_reads_do_not(self):
        request = self.machine_request("sdk machine")
        request.description = "made by the SDK"
        request.access_token_validity_seconds = 3600
        created = self.create(request)
        self.assertTrue(created.secret)
        self.assertEqual((created.state, created.access_token_validity_seconds), ("active", 3600))
        self.assertIsInstance(created.date_created, datetime)
        read = self.oauth.get_oauth_client(created.id)
        self.assertIsNone(read.secret)
        self.assertEqual(read.name, "sdk machine")
        self.assertEqual(read.description, "made by the SDK")
        self.assertEqual(read.role_divisions[0].role_id, self.roles["employee"])
        self.assertEqual(read.created_by.id, OPERATOR_ID)

    def test_list_has_every_client_on_one_page(self):
        created = [self.create(self.web_request(f"sdk listed {number}")) for number in range(3)]
        listing = self.oauth.get_oauth_clients()
        self.assertEqual(listing.page_count, 1)
        self.assertEqual(listing.total, len(listing.entities))
        listed = {entity.id: entity for entity in listing.entities}
        for client in created:
            self.assertEqual(listed[client.id].name, client.name)
            self.assertIsNone(listed[client.id].secret)

    def test_update_takes_the_entity_that_was_read(self):
        created = self.create(self.web_request("sdk before"))
        entity = self.oauth.get_oauth_client(created.id)
        entity.name = "sdk after"
        entity.scope = ["users"]
        updated = self.oauth.put_oauth_client(created.id, entity)
        self.assertIsNone(updated.secret)
        read = self.oauth.get_oauth_client(created.id)
        self.assertEqual((read.name, read.scope), ("sdk after", ["users"]))
        self.assertEqual(read.registered_redirect_uri, [REDIRECT])
        self.assertGreaterEqual(read.date_modified, created.date_modified)

    def test_grant_type_can_change_in_place(self):
        created = self.create(self.machine_request("sdk changing"))
        request = self.web_request("sdk changing")
        changed = self.oauth.put_oauth_client(created.id, request)
        self.assertEqual(changed.authorized_grant_type, "CODE")
        self.assertEqual(self.oauth.get_oauth_client(created.id).scope, request.scope)

    def test_reset_kills_the_old_secret_and_spares_its_tokens(self):
        created = self.create(self.machine_request("sdk rotating"))
        before = login(created.id, created.secret)
        reset = self.oauth.post_oauth_client_secret(created.id)
        self.assertNotEqual(reset.secret, created.secret)
        with self.assertRaises(ApiException):
            login(created.id, created.secret)
        login(created.id, reset.secret)
        self.assertEqual(genesys.TokensApi(before).get_tokens_me().o_auth_client.id, created.id)

    def test_delete_needs_an_inactive_client(self):
        created = self.create(self.machine_request("sdk leaving"))
        self.refused(400, "cannot.delete.client", self.oauth.delete_oauth_client, created.id)
        entity = self.oauth.get_oauth_client(created.id)
        entity.state = "inactive"
        self.assertEqual(self.oauth.put_oauth_client(created.id, entity).state, "inactive")
        with self.assertRaises(ApiException):
            login(created.id, created.secret)
        self.oauth.delete_oauth_client(created.id)
        self.refused(404, "client.not.found", self.oauth.get_oauth_client, created.id)
        self.refused(404, "not.found", self.oauth.post_oauth_client_secret, created.id)

    def test_create_is_refused_with_the_documented_codes(self):
        inactive = self.machine_request("sdk refused")
        inactive.state = "inactive"
        self.refused(400, "bad.client.state", self.oauth.post_oauth_clients, inactive)
        without_roles = self.machine_request("sdk refused")
        without_roles.role_divisions = []
        self.refused(400, "missing.client.roles", self.oauth.post_oauth_clients, without_roles)
        with_admin = self.machine_request("sdk refused", role="admin")
        self.refused(400, "bad.client.role", self.oauth.post_oauth_clients, with_admin)
        without_scope = self.web_request("sdk refused")
        without_scope.scope = []
        self.refused(400, "missing.client.scope", self.oauth.post_oauth_clients, without_scope)
        strange_scope = self.web_request("sdk refused")
        strange_scope.scope = ["users:manage"]
        self.refused(400, "auth.invalid.scope", self.oauth.post_oauth_clients, strange_scope)
        password = self.web_request("sdk refused")
        password.authorized_grant_type = "PASSWORD"
        self.refused(400, "bad.grant.type", self.oauth.post_oauth_clients, password)
        names = [entity.name for entity in self.oauth.get_oauth_clients().entities]
        self.assertNotIn("sdk refused", names)

    def test_a_disabled_client_cannot_be_updated(self):
        created = self.create(self.web_request("sdk disabled"))
        admin("PATCH", f"/admin/clients/{created.id}", {"state": "disabled"})
        self.addCleanup(admin, "PATCH", f"/admin/clients/{created.id}", {"state": "active"})
        entity = self.oauth.get_oauth_client(created.id)
        self.assertEqual(entity.state, "disabled")
        self.refused(400, "bad.client.state", self.oauth.put_oauth_client, created.id, entity)


class Callers(SdkTest):
    def test_a_wrong_secret_is_refused_in_the_login_hosts_form(self):
        with self.assertRaises(ApiException) as caught:
            login(secret="wrong")
        self.assertEqual(caught.exception.status, 400)
        body = json.loads(caught.exception.body)
        self.assertEqual((body["error"], body["description"]), ("invalid_client", "authentication failed"))
        self.assertEqual(body["description"], body["error_description"])

    def test_a_token_tells_its_client_and_organization(self):
        info = genesys.TokensApi(self.client).get_tokens_me()
        self.assertEqual(info.o_auth_client.id, OPERATOR_ID)
        self.assertEqual(info.o_auth_client.authorized_grant_type, "CLIENT-CREDENTIALS")
        organization = genesys.OrganizationApi(self.client).get_organizations_me()
        self.assertEqual((organization.id, organization.name), (info.organization.id, "Simulated Organization"))

    def test_a_revoked_token_is_refused(self):
        client = login()
        genesys.TokensApi(client).delete_tokens_me()
        self.refused(401, "bad.credentials", genesys.TokensApi(client).get_tokens_me)

    def test_a_client_without_permissions_is_refused(self):
        created = self.create(self.machine_request("sdk powerless"))
        oauth = genesys.OAuthApi(login(created.id, created.secret))
        body = self.refused(403, "missing.any.permissions", oauth.get_oauth_clients)
        self.assertTrue(body["message"].endswith("[oauth:client:view]"))

    def test_grants_of_the_caller_can_be_read(self):
        created = self.create(self.machine_request("sdk subject"))
        api = genesys.AuthorizationApi(login(created.id, created.secret))
        subject = api.get_authorization_subjects_me()
        self.assertEqual(subject.id, created.id)
        self.assertEqual([(grant.role.id, grant.division.id) for grant in subject.grants], [(self.roles["employee"], self.home)])


class Directory(SdkTest):
    def test_roles_are_paged_and_found(self):
        first = self.authorization.get_authorization_roles(page_size=4, page_number=1)
        second = self.authorization.get_authorization_roles(page_size=4, page_number=2)
        self.assertEqual((len(first.entities), first.page_count), (4, 3))
        self.assertFalse({role.id for role in first.entities} & {role.id for role in second.entities})
        named = self.authorization.get_authorization_roles(name="Supervisor")
        self.assertEqual([role.id for role in named.entities], [self.roles["Supervisor"]])
        self.assertEqual(self.authorization.get_authorization_role(self.roles["employee"]).name, "employee")

    def test_divisions_have_one_home(self):
        divisions = self.authorization.get_authorization_divisions().entities
        self.assertEqual([division.name for division in divisions if division.home_division], ["Home"])

    def test_scopes_are_listed_and_described(self):
        scopes = self.oauth.get_oauth_scopes()
        self.assertEqual(scopes.total, len(scopes.entities))
        self.assertTrue(all(scope.description for scope in scopes.entities))
        self.assertEqual(self.oauth.get_oauth_scope("users:readonly").id, "users:readonly")


class People(SdkTest):
    """The authorization code flow, with a secret and with PKCE."""

    def code(self, client_id, **more):
        query = {"response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT, "state": "s"} | more

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None

        try:
            urllib.request.build_opener(Stay).open(f"{URL.geturl()}/oauth/authorize?{urllib.parse.urlencode(query)}")
        except urllib.error.HTTPError as answer:
            location = urllib.parse.urlsplit(answer.headers["Location"])
            fields = urllib.parse.parse_qs(location.query)
            self.assertEqual((answer.code, fields["state"]), (302, ["s"]))
            return fields["code"][0]
        self.fail("no redirect")

    def test_a_code_becomes_tokens_and_then_new_ones(self):
        created = self.create(self.web_request("sdk web"))
        client, _ = fresh_api_client().get_code_authorization_token(
            created.id, created.secret, self.code(created.id), REDIRECT
        )
        self.assertEqual(genesys.UsersApi(client).get_users_me().name, "Simone Sample")
        first = client.access_token
        client, _ = client.refresh_code_authorization_token(created.id, created.secret, client.refresh_token)
        self.assertNotEqual(client.access_token, first)
        self.assertEqual(genesys.TokensApi(client).get_tokens_me().o_auth_client.id, created.id)

    def test_pkce_needs_no_secret(self):
        created = self.create(self.web_request("sdk browser"))
        client = fresh_api_client()
        verifier = client.generate_pkce_code_verifier(64)
        challenge = {"code_challenge": client.compute_pkce_code_challenge(verifier), "code_challenge_method": "S256"}
        wrong = client.generate_pkce_code_verifier(64)
        with self.assertRaises(ApiException):
            client.get_pkce_token(created.id, wrong, self.code(created.id, **challenge), REDIRECT)
        client.get_pkce_token(created.id, verifier, self.code(created.id, **challenge), REDIRECT)
        self.assertEqual(genesys.UsersApi(client).get_users_me().name, "Simone Sample")

    def test_a_saml_assertion_counts_if_the_organization_takes_it(self):
        request = self.web_request("sdk saml")
        request.authorized_grant_type = "SAML2-BEARER"
        created = self.create(request)
        assertion = base64.b64encode(b"<Assertion/>").decode()
        arguments = (created.id, created.secret, "Simulated Organization", assertion)
        with self.assertRaises(ApiException):
            fresh_api_client().get_saml2bearer_token(*arguments)
        admin("PATCH", "/admin/settings", {"acceptSamlAssertions": True})
        self.addCleanup(admin, "PATCH", "/admin/settings", {"acceptSamlAssertions": False})
        client = fresh_api_client().get_saml2bearer_token(*arguments)
        self.assertEqual(genesys.TokensApi(client).get_tokens_me().o_auth_client.id, created.id)


class Surroundings(SdkTest):
    """Integration credentials, usage and audits."""

    def interval(self):
        now = datetime.now(timezone.utc)
        form = "%Y-%m-%dT%H:%M:%S.000Z"
        return f"{(now - timedelta(days=1)).strftime(form)}/{(now + timedelta(days=1)).strftime(form)}"

    def credential(self, client_id, secret):
        body = genesys.Credential()
        body.name = "sdk credential"
        body.type = genesys.CredentialType()
        body.type.name = "pureCloudOAuthClient"
        body.credential_fields = {"clientId": client_id, "clientSecret": secret}
        return body

    def test_integration_credentials_are_written_and_never_read(self):
        created = self.create(self.machine_request("sdk data action"))
        api = genesys.IntegrationsApi(self.client)
        info = api.post_integrations_credentials(body=self.credential(created.id, created.secret))
        self.assertEqual(info.type.name, "pureCloudOAuthClient")
        reset = self.oauth.post_oauth_client_secret(created.id)
        changed = api.put_integrations_credential(info.id, body=self.credential(created.id, reset.secret))
        self.assertGreaterEqual(changed.modified_date, info.modified_date)
        self.assertFalse(api.get_integrations_credential(info.id).credential_fields)
        self.assertIn(info.id, [entity.id for entity in api.get_integrations_credentials().entities])
        api.delete_integrations_credential(info.id)
        self.refused(404, "not.found", api.get_integrations_credential, info.id)

    def test_usage_counts_the_calls_of_a_client(self):
        created = self.create(self.machine_request("sdk busy"))
        api = genesys.TokensApi(login(created.id, created.secret))
        for _ in range(3):
            api.get_tokens_me()
        query = genesys.ApiUsageClientQuery()
        query.interval = self.interval()
        query.metrics = ["Requests"]
        execution = self.oauth.post_oauth_client_usage_query(created.id, query)
        result = self.oauth.get_oauth_client_usage_query_result(execution.execution_id, created.id)
        self.assertEqual(result.query_status, "Complete")
        self.assertEqual(sum(row.requests for row in result.results), 3)

    def test_audits_tell_who_made_a_client(self):
        created = self.create(self.web_request("sdk audited"))
        query = genesys.AuditQueryRequest()
        query.interval = self.interval()
        query.service_name = "PeoplePermissions"
        only = genesys.AuditQueryFilter()
        # `property` is a word of Python's own, so the model renames it.
        only.pcProperty, only.value = "EntityId", created.id
        query.filters = [only]
        api = genesys.AuditApi(self.client)
        execution = api.post_audits_query(query)
        self.assertEqual(execution.state, "Succeeded")
        results = api.get_audits_query_transaction_id_results(execution.id, page_size=500)
        made = [(message.action, message.entity.id, message.client.id) for message in results.entities]
        self.assertEqual(made, [("Create", created.id, OPERATOR_ID)])


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    failed = len(result.failures) + len(result.errors)
    sys.stderr.flush()
    print(f"{result.testsRun - failed} passed, {failed} failed", flush=True)
    # The SDK keeps a thread that watches its configuration file.
    os._exit(1 if failed or not result.testsRun else 0)
