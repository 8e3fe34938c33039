"""What clients ask for hour after hour, as a script of wrk: everything at once, and always something new."""

from __future__ import annotations

import json
import time
from typing import Final

from bench.exchange.request import ACCEPT, DONE
from tests.auth.issuer import claims, token

NAMES: Final = 12_000
"""Each with a token of its own: more than the processor remembers."""
_SCRIPT: Final = """
local tokens = {}
init = function(args)
  for line in io.lines(%(file)s) do tokens[#tokens + 1] = line end
  math.randomseed(os.time())
end
local function hex(length)
  local made = {}
  for at = 1, length / 4 do made[at] = string.format('%%04x', math.random(0, 65535)) end
  return table.concat(made)
end
request = function()
  local number, dice = math.random(1, #tokens), math.random()
  local headers, method, path = {['Accept'] = %(accept)s}, 'GET', '/v2/group-' .. number .. '/project/app/'
  if dice < 0.3 then
    return wrk.format(method, path .. 'manifests/v' .. math.random(1, 1000000), headers, '')
  end
  headers['Authorization'] = 'Bearer ' .. tokens[number]
  if dice < 0.6 then
    path = path .. 'blobs/sha256:' .. hex(64)
  elseif dice < 0.9 then
    path = path .. 'manifests/v' .. math.random(1, 20)
  else
    method, path = 'PUT', path .. 'manifests/v' .. math.random(1, 20)
  end
  return wrk.format(method, path, headers, method == 'PUT' and '{}' or '')
end
"""


def tokens(seconds: float) -> str:
    """One a line, for pull and push of the name of its number, good for so long."""
    now = int(time.time())
    made = []
    for number in range(1, NAMES + 1):
        # Every second one may push: its reads are the primary's.
        actions = ["pull", "push"] if number % 2 else ["pull"]
        access = [{"type": "repository", "name": f"group-{number}/project/app", "actions": actions}]
        made.append(token(claims(iat=now, nbf=now - 5, exp=now + int(seconds) + 3600, access=access)))
    return "\n".join(made) + "\n"


def script(file: str) -> str:
    """`file` has the tokens."""
    return _SCRIPT % {"file": json.dumps(file), "accept": json.dumps(ACCEPT)} + DONE
