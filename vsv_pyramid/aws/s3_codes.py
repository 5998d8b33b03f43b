"""What S3, the way to it, and the login to it say, a line a code and a line a cause: what happened,
and what to do about it."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """What happened and what to do about it, two parts of a sentence, with the names of an Answer's
    fields and of a pattern's groups in braces; and whether the same may go well a little later."""

    cause: str
    remedy: str
    passes: bool = False


_ALLOWED = "have that allowed, or give other credentials (AWS_PROFILE or a role)"
_LOGIN_ENDED = Case("the login has ended", "log in again (such as by aws sso login)")
_REGION = Case("the bucket is in another region", "set AWS_REGION to the bucket's")
_QUOTA = Case("the bucket's quota is used up", "make room there, or have the quota raised")
_FULL = Case("the server has no room left", "make room there")
_SPOILT = Case("it was spoilt on the way ({code})", "try again", passes=True)
_BUSY = Case("answers with error {status} ({code})", "try again later", passes=True)
_UNKNOWN_KEY = Case(
    "the server knows no such access key",
    "check AWS_PROFILE or AWS_ACCESS_KEY_ID, and that the key is this server's",
)
_NOT_S3 = Case(
    "the server {server} is no S3 server",
    "check the endpoint (AWS_ENDPOINT_URL) and the proxy",
)
_HELPER = "the program that is to give the credentials (credential_process)"
_NOT_KNOWN = Case(
    "the server does not know this kind of request ({code}): {message}",
    "{options}",
)

# What each code of S3, and of the servers that speak its language, comes to.
CODES = {
    "AccessDenied": Case("access is refused (403): {action} is not allowed ({message})", _ALLOWED),
    "AccessDeniedException": Case("access is refused ({status}): {message}", _ALLOWED),
    "AccountProblem": Case("the account has a problem: {message}", "ask who runs the account"),
    "AllAccessDisabled": Case(
        "all access to the bucket is disabled, by its provider", "ask who runs the account"
    ),
    "AuthorizationHeaderMalformed": Case(
        "the region is wrong ({message})", "set AWS_REGION to the bucket's"
    ),
    "BadDigest": _SPOILT,
    "ConditionalRequestConflict": _BUSY,
    "EntityTooLarge": Case("it is too large for the server", "have its limit raised"),
    "ExpiredToken": _LOGIN_ENDED,
    "ExpiredTokenException": _LOGIN_ENDED,
    "IllegalLocationConstraintException": _REGION,
    "IncompleteBody": _SPOILT,
    "InsufficientStorage": _FULL,
    "InternalError": _BUSY,
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "InvalidBucketName": Case("no bucket can have this name", "check the name"),
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "InvalidObjectState": Case(
        "it is archived, in a storage class that must be restored from before it can be read",
        "restore it first (aws s3api restore-object), and try again when that is done",
    ),
    "InvalidStorageClass": Case(
        "the server has no such storage class", "give another --storage-class, or none"
    ),
    "InvalidToken": Case(
        "the session token is not valid",
        "log in again, and see that AWS_SESSION_TOKEN belongs to the key",
    ),
    "KMS.AccessDeniedException": Case("the encryption key is refused: {message}", _ALLOWED),
    "KMS.DisabledException": Case("the encryption key is disabled", "have it enabled (AWS KMS)"),
    "KMS.InternalFailureException": _BUSY,
    "KMS.InvalidKeyUsageException": Case(
        "the encryption key is not one for encryption", "give another --kms-key"
    ),
    "KMS.InvalidStateException": Case(
        "the encryption key cannot be used as it is, such as one that will be deleted",
        "have it enabled (AWS KMS), or give another --kms-key",
    ),
    "KMS.KMSInternalException": _BUSY,
    "KMS.KMSInvalidStateException": Case(
        "the encryption key cannot be used as it is, such as one that will be deleted",
        "have it enabled (AWS KMS), or give another --kms-key",
    ),
    "KMS.NotFoundException": Case(
        "there is no such encryption key in the bucket's region", "check --kms-key"
    ),
    "KMS.ThrottlingException": _BUSY,
    "MethodNotAllowed": _NOT_KNOWN,
    "NoSuchBucket": Case(
        "there is no such bucket", "check its name, and the endpoint (AWS_ENDPOINT_URL)"
    ),
    "NoSuchKey": Case("there is no such object", "check bucket and key"),
    "NotImplemented": _NOT_KNOWN,
    "NotSignedUp": Case("the account has no S3", "ask who runs the account"),
    "OperationAborted": _BUSY,
    "PermanentRedirect": _REGION,
    "PreconditionFailed": Case(
        "the server refuses it ({code}), though nobody is seen to be in its way",
        "ask who runs the server",
    ),
    "QuotaExceeded": _QUOTA,
    "Redirect": _REGION,
    "RequestTimeTooSkewed": Case(
        "the server's clock and this machine's differ by more than 15 minutes",
        "set this machine's clock",
    ),
    "RequestTimeout": _BUSY,
    "ServiceUnavailable": _BUSY,
    "SignatureDoesNotMatch": Case(
        "the signature is not the one of this access key",
        "check AWS_SECRET_ACCESS_KEY, and that no proxy changes the requests",
    ),
    "SlowDown": Case(
        "the server asks for fewer requests (SlowDown)",
        "try again later, or with a smaller --max-put-rate",
        passes=True,
    ),
    "TemporaryRedirect": _REGION,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "TokenRefreshRequired": _LOGIN_ENDED,
    "TooManyRequests": _BUSY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "XAmzContentChecksumMismatch": _SPOILT,
    "XAmzContentSHA256Mismatch": _SPOILT,
    "XMinioAdminBucketQuotaExceeded": _QUOTA,
    "XMinioStorageFull": _FULL,
}

# What is told by words only: the first that is found counts, and counts before the code.
CAUSES = [
    (
        r"User: (?P<who>\S+) is not authorized to perform: (?P<what>[\w:]+)"
        r"(?: on resource: \"?(?P<which>[^\s\"]+)\"?)?(?: (?P<why>.+))?",
        Case("access is refused ({status}): {who} may not {what} on {which} {why}", _ALLOWED),
    ),
    (
        r"(?i)(content-md5|x-amz-(sdk-)?checksum).* (is|are) required|MissingContentMD5",
        Case("the bucket wants a checksum of each object", "give --checksum sha256"),
    ),
    (
        r"LoginFailed: [\w-]+: ValueError: (?P<why>the (access key|secret key|session token) .*)",
        Case("{why}", "set it anew, without what does not belong to it"),
    ),
    (
        r"LoginFailed: assume-role: EOFError: (?P<why>.*)",
        Case(
            "the login {why} to give it",
            "log in before, and set AWS_PROFILE to what that makes",
        ),
    ),
    (
        r"LoginFailed: .*still expired",
        Case("the login has ended: the renewed credentials are old, too", "log in again"),
    ),
    (
        r"LoginFailed: custom-process: (JSON|Unicode)DecodeError",
        Case(f"{_HELPER} prints no JSON", "run it yourself to see what it says"),
    ),
    (
        r"LoginFailed: custom-process: TimeoutExpired: .* after (?P<seconds>[\d.]+)",
        Case(f"{_HELPER} has not ended for {{seconds}} s", "run it yourself to see what it needs"),
    ),
    (
        r"LoginFailed: custom-process: \w+: (\[Errno \d+\] )?(?P<why>.*)",
        Case(f"{_HELPER} fails: {{why}}", "check the AWS configuration"),
    ),
    (
        r"LoginFailed: assume-role-with-web-identity: \w+: (\[Errno \d+\] )?(?P<why>.*)",
        Case("the login's token cannot be read: {why}", "check AWS_WEB_IDENTITY_TOKEN_FILE"),
    ),
    (
        r"LoginFailed: (?P<by>[\w-]+): \w+: (?P<why>.*)",
        Case("the credentials cannot be got ({by}): {why}", "check the AWS configuration"),
    ),
    (
        r"InvalidRegionError: .* (?P<region>'[^']*') doesn't",
        Case("there is no such region as {region}", "check AWS_REGION"),
    ),
    (
        r"RefreshWithMFAUnsupportedError",
        Case("the login with a code (MFA) has ended", "log in again, where you are asked for it"),
    ),
    (
        r"UnauthorizedSSOTokenError|SSOTokenLoadError|TokenRetrievalError|SSOError",
        Case("the SSO login has ended, or was never made", "log in with aws sso login"),
    ),
    (
        r"LoginRefreshRequired|LoginTokenLoadError|LoginAuthorizationCodeError|LoginError",
        Case("the login has ended, or was never made", "log in with aws login"),
    ),
    (
        r"CredentialRetrievalError: Error when retrieving credentials from custom-process: "
        r"(?P<why>.*)",
        Case(f"{_HELPER} fails: {{why}}", "run it yourself to see what it needs"),
    ),
    (
        r"MetadataRetrievalError|CredentialRetrievalError",
        Case("the credentials cannot be got ({words})", "check this machine's role", passes=True),
    ),
    (
        r"InvalidCertificate\(\s*Expired|certificate has expired",
        Case(
            "the server's certificate has expired", "have it renewed, or set this machine's clock"
        ),
    ),
    (
        r"InvalidCertificate\(\s*NotValidYet|certificate is not yet valid",
        Case("the server's certificate is not valid yet", "set this machine's clock"),
    ),
    (
        r"InvalidCertificate\(\s*NotValidForName|hostname '.*' doesn't match|mismatch, certificate",
        Case("the server's certificate is another server's", "check the name in AWS_ENDPOINT_URL"),
    ),
    (
        r"InvalidCertificate\(|CERTIFICATE_VERIFY_FAILED",
        Case("its certificate is not trusted", "set AWS_CA_BUNDLE to the authority's file"),
    ),
    (
        r"InvalidContentType|WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST",
        Case("the server does not speak https", "give http://HOST as AWS_ENDPOINT_URL"),
    ),
    (
        r"HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port",
        Case("the server speaks https only", "give https://HOST as AWS_ENDPOINT_URL"),
    ),
    (
        r"SSLError|AlertReceived",
        Case("no TLS comes about ({words})", "check the server, its certificate and the proxy"),
    ),
    (
        r"ProxyAuthRequired|407 Proxy Auth|\(407\)",
        Case(
            "the proxy {proxy} asks for a login",
            "set HTTPS_PROXY (or HTTP_PROXY) to http://USER:PASSWORD@HOST:PORT",
        ),
    ),
    (
        r"TunnelUnsuccessful|unsuccessful tunnel|Tunnel connection failed",
        Case(
            "the proxy {proxy} does not let it through",
            "have it do so, or name the server in NO_PROXY",
        ),
    ),
    (
        r"Failed to connect to proxy URL: \"(?P<proxy>[^\"]+)\"",
        Case(
            "does not answer through the proxy {proxy}",
            "check HTTPS_PROXY (or HTTP_PROXY) and NO_PROXY, and try again",
            passes=True,
        ),
    ),
    (
        r"credential provider: (Endpoint|Proxy)?Conn\w+Error: (?P<why>.*)"
        r"|credential provider: \w+TimeoutError: (?P<late>.*)",
        Case("the credentials cannot be renewed: {why}{late}", "check the network", passes=True),
    ),
    (
        r"External AWS credential provider: (?P<why>.*)",
        Case("the credentials cannot be renewed: {why}", "log in again"),
    ),
    (
        r"dns error|NameResolutionError|getaddrinfo|Name or service not known|nodename nor serv",
        Case(
            "the name {resolved} is not known",
            "check the endpoint (AWS_ENDPOINT_URL, AWS_REGION), the proxy, and the network's DNS",
            passes=True,
        ),
    ),
    (r"Received redirect without LOCATION", _REGION),
    (
        r"NotS3:|Got invalid \w+ response|ResponseParserError|Unable to extract metadata"
        r"|Received non-partial response|PaginationError",
        _NOT_S3,
    ),
    (
        r"builder error",
        Case(
            "the certificates that are to be trusted cannot be read",
            "check SSL_CERT_FILE, SSL_CERT_DIR and AWS_CA_BUNDLE",
        ),
    ),
]
# What a status alone comes to, without S3's own words.
STATUSES = {
    301: _REGION,
    302: _NOT_S3,
    303: _NOT_S3,
    307: _REGION,
    401: Case("access is refused (401)", _ALLOWED),
    403: CODES["AccessDenied"],
    404: _NOT_S3,
    507: _FULL,
}
WITHOUT_A_WORD = Case(
    "answers with error {status}, and not in S3's words",
    "ask who runs the server, and check the endpoint (AWS_ENDPOINT_URL) and the proxy",
)
