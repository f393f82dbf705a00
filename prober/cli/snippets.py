"""The lines that read a flag, in each language. Pure; the tests run them."""

from __future__ import annotations

from prober.config.schema import Config, Route
from prober.config.secrets import SecretRef
from switch.flag import Keys


def snippets(route: Route, config: Config) -> dict[str, str]:
    """Language -> code that prints the present primary. `REDIS_URL` holds the address."""
    keys = Keys(route.name, config.redis.namespace)
    default = route.candidates[0]
    named = f', namespace="{config.redis.namespace}"' if config.redis.namespace != "prober" else ""
    url = config.redis.url
    variable = url.env if isinstance(url, SecretRef) and url.env else "REDIS_URL"
    return {
        "key": keys.primary,
        "shell": f"redis-cli -u \"${variable}\" GET '{keys.primary}'",
        "python": (
            "import os\n"
            "from switch import Reader  # of the package prober; needs redis alone\n"
            f'reader = Reader(os.environ["{variable}"], {{"{route.name}": "{default}"}}{named})\n'
            "reader.wait_ready(2)\n"
            f'print(reader.primary("{route.name}"))  # a memory read; once per request'
        ),
        "node": (
            "import { createClient } from 'redis' // npm install redis\n"
            f"const redis = await createClient({{ url: process.env.{variable} }}).connect()\n"
            f"console.log((await redis.get('{keys.primary}')) ?? '{default}')\n"
            "redis.destroy()"
        ),
        "go": (
            "// go get github.com/redis/go-redis/v9\n"
            f'options, _ := redis.ParseURL(os.Getenv("{variable}"))\n'
            f'primary, err := redis.NewClient(options).Get(ctx, "{keys.primary}").Result()\n'
            f'if err != nil {{ primary = "{default}" }}'
        ),
    }
