//! HTTP.

use super::elements;

elements! { Group::Http;
    /// Requested URL
    HTTP_URL: Text(128), Ntop(180);
    /// Response status
    HTTP_RET_CODE: U16, Ntop(181);
    /// Referer header
    HTTP_REFERER: Text(128), Ntop(182);
    /// User-Agent header
    HTTP_USER_AGENT: Text(256), Ntop(183);
    /// User-Agent header (now HTTP_USER_AGENT)
    HTTP_UA: Text(256), Ntop(183), renamed &HTTP_USER_AGENT;
    /// Content type of the response
    HTTP_MIME: Text(256), Ntop(184);
    /// Host header, full host
    HTTP_HOST: Text(64), Ntop(187);
    /// Request method
    HTTP_METHOD: Text(4), Ntop(360);
    /// Host with its first label removed
    HTTP_SITE: Text(64), Ntop(361);
    /// X-Forwarded-For header
    HTTP_X_FORWARDED_FOR: Text(256), Ntop(460);
    /// Via header
    HTTP_VIA: Text(256), Ntop(461);
}
