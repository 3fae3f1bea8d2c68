import time
from tests.conftest import Databases
async def test_prof(databases, settings, cluster):
    for strategy in ("file_copy","wal_log")*4:
        name=f"x_{time.time_ns()}"
        t=time.perf_counter()
        await databases._run(f"create database {name} template {databases.template} strategy {strategy}")
        t1=time.perf_counter()
        await databases._run(f"drop database {name} with (force)")
        print(strategy, round(t1-t,3), round(time.perf_counter()-t1,3))
