"""The vendor's default chain of credentials, whose services all answer on one local port.

Prints the id of the access key that the chain finds, and which provider gave it.
"""

import sys

from Tea.core import TeaCore

port = int(sys.argv[1])
do_action = TeaCore.do_action


def redirected(request, runtime_option=None):
    """The SDK fixes the hosts of STS and of the metadata service."""
    request.protocol = "http"
    request.headers["host"] = "127.0.0.1"
    request.port = port
    return do_action(request, runtime_option)


TeaCore.do_action = staticmethod(redirected)

from alibabacloud_credentials.provider import DefaultCredentialsProvider  # noqa: E402

found = DefaultCredentialsProvider().get_credentials()
print(found.get_access_key_id(), found.get_provider_name())
