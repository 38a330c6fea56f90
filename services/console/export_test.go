package console

import (
	"context"
	"time"
)

// Sample looks at the services once.
func Sample(c *Console, ctx context.Context) { c.sampler.sample(ctx, time.Now()) }
