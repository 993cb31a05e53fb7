import * as fc from 'fast-check'

// What is generated is the same each time, so that a change is judged by itself and not by luck. `npm run properties`
// draws others.
fc.configureGlobal({ seed: Number(process.env['SPILLWAY_SEED'] ?? 20_261_129) })
